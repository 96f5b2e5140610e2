/*
 * resolver.c - one short-lived thread a question.
 *
 * The shared state is counted by reference: the resolver and each thread hold one, the last one frees it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "transport/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Open questions at once, and what a thread's stack takes. */
#define RESOLVER_MAX_QUESTIONS 16
#define RESOLVER_STACK_BYTES (512u << 10)

struct question
{
	struct question *next;
	struct resolver *resolver;
	struct address_parts parts;
	struct resolver_answer answer;
};

struct resolver
{
	pthread_mutex_t lock;
	int fd;                    /* eventfd */
	uint32_t references;       /* under lock */
	bool destroyed;            /* under lock */
	struct question *answered; /* under lock */
	uint32_t open;             /* questions not yet given back; the owner's alone */
};

struct resolver *resolver_create(void)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->fd < 0)
	{
		free(r);
		return NULL;
	}
	pthread_mutex_init(&r->lock, NULL);
	r->references = 1;
	return r;
}

/* Gives a reference back; the lock is held and is released. */
static void release(struct resolver *r)
{
	bool last = --r->references == 0;

	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	while (r->answered != NULL)
	{
		struct question *next = r->answered->next;

		free(r->answered);
		r->answered = next;
	}
	close(r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void resolver_destroy(struct resolver *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->destroyed = true;
	release(r);
}

int resolver_fd(const struct resolver *r)
{
	return r->fd;
}

static void *thread_main(void *argument)
{
	struct question *q = argument;
	struct resolver *r = q->resolver;
	uint64_t one = 1;

	q->answer.error = address_resolve(&q->parts, &q->answer.list);
	pthread_mutex_lock(&r->lock);
	if (r->destroyed)
		free(q);
	else
	{
		q->next = r->answered;
		r->answered = q;
		/* An eventfd that is full is readable already. */
		if (write(r->fd, &one, sizeof(one)) < 0)
			one = 0;
	}
	release(r);
	return NULL;
}

static bool start_thread(struct question *q)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int rc;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, RESOLVER_STACK_BYTES);
	/* The host's signals are for its own thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attributes, thread_main, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return rc == 0;
}

bool resolver_ask(struct resolver *r, const struct address_parts *parts, uint64_t token)
{
	struct question *q;

	if (r->open >= RESOLVER_MAX_QUESTIONS)
		return false;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return false;
	q->resolver = r;
	q->parts = *parts;
	q->answer.token = token;
	pthread_mutex_lock(&r->lock);
	r->references++;
	pthread_mutex_unlock(&r->lock);
	if (!start_thread(q))
	{
		pthread_mutex_lock(&r->lock);
		release(r);
		free(q);
		return false;
	}
	r->open++;
	return true;
}

bool resolver_next(struct resolver *r, struct resolver_answer *answer)
{
	struct question *q;
	uint64_t count;

	pthread_mutex_lock(&r->lock);
	q = r->answered;
	if (q != NULL)
		r->answered = q->next;
	else if (read(r->fd, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_unlock(&r->lock);
	if (q == NULL)
		return false;
	*answer = q->answer;
	free(q);
	r->open--;
	return true;
}
