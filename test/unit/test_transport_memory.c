/*
 * test_transport_memory.c - out of memory costs a message or a connection, nothing else.
 *
 * Two nodes connect and one sends a large message, again and again; each time one more allocation passes
 * before one fails.  Ends when none fails any more.
 */
#include "transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "free_port.h"
#include "unit.h"

#define VALUE_BYTES (400u << 10)

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)

int main(void)
{
	ok(true, "# SKIP the allocator can't be replaced here");
	return done();
}

#else

/* The C library's own, under the names that it exports for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *piece, size_t size);

static bool armed;
static unsigned passing; /* so many allocations succeed before one fails */
static bool failed;

static bool fails(void)
{
	if (!armed || failed)
		return false;
	if (passing-- > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *piece, size_t size)
{
	return fails() ? NULL : __libc_realloc(piece, size);
}

static struct transport *nodes[2];
static unsigned received;
static unsigned wrong;
static int connected[2];

static bool on_message(void *context, const struct paxos_message *m)
{
	received++;
	wrong += m->n_entries != 1 || m->entries[0].length != VALUE_BYTES ||
			 m->entries[0].bytes[VALUE_BYTES - 1] != 0x5A;
	return true;
}

static bool on_formation(void *context, const struct formation_message *m)
{
	return true;
}

static void on_connected(void *context, uint32_t node_id)
{
	++*(int *) context;
}

static void on_disconnected(void *context, uint32_t node_id, bool reset)
{
	--*(int *) context;
}

/* Ten times as fast as it is, so that retries don't take long. */
static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 10000 + (uint64_t) ts.tv_nsec / 100000;
}

static void turn(void)
{
	struct pollfd fds[2];

	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){.fd = transport_fd(nodes[i]), .events = POLLIN};
	poll(fds, 2, 2);
	for (int i = 0; i < 2; i++)
	{
		struct transport_callbacks to = {.context = &connected[i],
										 .on_message = on_message,
										 .on_formation = on_formation,
										 .on_connected = on_connected,
										 .on_disconnected = on_disconnected};

		transport_poll(nodes[i], now_ms(), &to);
	}
}

static void start(struct paxos_config *config)
{
	struct transport_options o[2];
	char error[TRANSPORT_ERROR_MAX];

	memset(o, 0, sizeof(o));
	memset(config, 0, sizeof(*config));
	config->epoch = 1;
	config->cluster_id.bytes[0] = 1;
	config->n_members = 2;
	for (uint32_t i = 0; i < 2; i++)
	{
		config->members[i].node_id = i + 1;
		config->members[i].store_id.bytes[0] = (uint8_t) (i + 1);
		snprintf(config->members[i].address, sizeof(config->members[i].address), "127.0.0.1:%u", free_port());
	}
	for (uint32_t i = 0; i < 2; i++)
	{
		o[i].node_id = i + 1;
		o[i].store_id = config->members[i].store_id;
		o[i].secret = (const uint8_t *) "pear";
		o[i].secret_length = 4;
		o[i].n_listen = 1;
		memcpy(o[i].listen[0], config->members[i].address, sizeof(o[i].listen[0]));
		nodes[i] = transport_create(&o[i], error);
		/* The one failure may have met this. */
		if (nodes[i] == NULL)
			nodes[i] = transport_create(&o[i], error);
		transport_set_members(nodes[i], config);
	}
}

/* One more allocation passes than the last time.  False: none failed. */
static bool story(unsigned passes)
{
	static uint8_t value[VALUE_BYTES];
	struct paxos_entry entry = {value, VALUE_BYTES};
	struct paxos_message m = {.type = PAXOS_ACCEPT, .from = 1, .to = 2, .epoch = 1, .n_entries = 1};
	struct paxos_config config;
	uint64_t until = now_ms() + 100000;

	value[VALUE_BYTES - 1] = 0x5A;
	m.entries = &entry;
	received = 0;
	connected[0] = connected[1] = 0;
	passing = passes;
	failed = false;
	armed = true;
	start(&config);
	while ((received == 0 || connected[0] != 1 || connected[1] != 1) && now_ms() < until)
	{
		turn();
		transport_send(nodes[0], &m);
		transport_flush(nodes[0]);
	}
	armed = false;
	ok(received > 0 && connected[0] == 1 && connected[1] == 1, "a failure after %u allocations is got over",
	   passes);
	for (int i = 0; i < 2; i++)
		transport_destroy(nodes[i]);
	return failed;
}

int main(void)
{
	unsigned passes = 0;

	while (passes < 500 && story(passes))
		passes++;
	ok(passes > 15 && passes < 500, "%u allocations were made to fail", passes);
	is_u64(wrong, 0, "no message was changed by it");
	return done();
}

#endif
