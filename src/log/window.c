/*
 * window.c - records in memory: those that wait for their place, and the newest for readers.
 */
#include "log/internal.h"

#include <string.h>

struct log_item *log_item_make(const struct plog_record *record, const void *payload, uint32_t length)
{
	uint64_t padded = format_padded(PLOG_RECORD_HEADER + length);
	struct log_item *item = plog_allocate(sizeof *item + padded);

	if (item == NULL)
		return NULL;
	memset(item, 0, sizeof *item);
	item->references = 1;
	item->record = *record;
	item->record.length = PLOG_RECORD_HEADER + length;
	if (payload != NULL)
		memcpy(item->bytes + PLOG_RECORD_HEADER, payload, length);
	memset(item->bytes + PLOG_RECORD_HEADER + length, 0, padded - PLOG_RECORD_HEADER - length);
	return item;
}

void log_item_release(struct log_item *item)
{
	plog_assert(item->references > 0);
	if (--item->references == 0)
		plog_free(item);
}

static struct log_item **window_at(const struct log_window *window, size_t i)
{
	return &window->ring[(window->head + i) % window->capacity];
}

bool log_window_reserve(struct log_window *window, size_t more)
{
	size_t capacity = window->capacity == 0 ? 64 : window->capacity;
	struct log_item **ring;

	while (capacity < window->count + more)
		capacity *= 2;
	if (capacity == window->capacity)
		return true;
	ring = plog_allocate(capacity * sizeof *ring);
	if (ring == NULL)
		return false;
	for (size_t i = 0; i < window->count; i++)
		ring[i] = *window_at(window, i);
	plog_free(window->ring);
	window->ring = ring;
	window->capacity = capacity;
	window->head = 0;
	return true;
}

void log_window_push(struct log_window *window, struct log_item *item)
{
	if (window->count > 0 && item->record.slot != window->first_slot + window->count)
		log_window_clear(window);
	plog_assert(window->count < window->capacity);
	if (window->count == 0)
		window->first_slot = item->record.slot;
	window->count++;
	*window_at(window, window->count - 1) = item;
	window->bytes += item->record.length;
	item->references++;
}

struct log_item *log_window_find(const struct log_window *window, uint64_t slot)
{
	if (window->count == 0 || slot < window->first_slot || slot - window->first_slot >= window->count)
		return NULL;
	return *window_at(window, (size_t) (slot - window->first_slot));
}

static void drop_front(struct log_window *window)
{
	struct log_item *item = *window_at(window, 0);

	window->bytes -= item->record.length;
	window->head = (window->head + 1) % window->capacity;
	window->count--;
	window->first_slot++;
	log_item_release(item);
}

void log_window_cut(struct log_window *window, uint64_t base)
{
	while (window->count > 0 && window->first_slot + window->count - 1 > base)
	{
		struct log_item *item = *window_at(window, window->count - 1);

		window->bytes -= item->record.length;
		window->count--;
		log_item_release(item);
	}
}

void log_window_evict(struct log_window *window, uint64_t bytes)
{
	while (window->count > 0 && window->bytes > bytes && (*window_at(window, 0))->placed)
		drop_front(window);
}

void log_window_clear(struct log_window *window)
{
	while (window->count > 0)
		drop_front(window);
}

void log_window_free(struct log_window *window)
{
	log_window_clear(window);
	plog_free(window->ring);
	memset(window, 0, sizeof *window);
}
