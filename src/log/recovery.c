/*
 * recovery.c - what a start makes of the segments it finds (D4 to D7).
 *
 * The segments form a chain: each header says where it continues from, and everything before that place is
 * durable.  Records are replayed along it until the first bad one; markers alone judge that one.  Where they say
 * exactly what it was, replay steps over it and goes on: it leaves a hole, and the chain stays.  Then a new segment takes what lies behind the last sync known completed, because after a failed sync the page cache
 * may show what the disk has not got (D4), and, if there is damage, a record that says so.  The new segment
 * gets its name when it is durable, so a crash before that repeats all of this from the same files.
 */
#include "log/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SCAN_BYTES (256u << 10)
/* Room for the records that recovery itself adds: damage and begin. */
#define JUDGEMENT_BYTES 256

/* No log gets there; a stray file with a higher number would make the next numbers wrap around. */
#define SEGMENT_NUMBER_MAX (UINT64_MAX / 2)

struct recovery
{
	struct plog *log;
	struct plog_error *error;

	/* A window on the segment that is scanned. */
	uint8_t *buffer;
	size_t capacity;
	size_t length;
	uint64_t start;

	struct plog_position completed; /* every sync of what lies before has completed */
	struct plog_position copy_from; /* records from here on go to the new segment */
	struct plog_position stop;      /* the first bad record, or the end */
	struct plog_position good_end;  /* where records ended in the last segment with a good header */
	size_t stop_index;              /* of its segment in the chain */
	bool stopped_early;             /* there is a bad one, before the chain's end or completed */
	bool replace_last;              /* the last segment is copied whole and leaves the chain */

	bool step_over; /* D7: replay goes on behind bad records of which the markers say what they were */
	bool unsure;    /* ... but what was found behind them does not fit: without it, then */
	bool again;     /* ... they are in what would be copied: with replace_last false, then */

	bool damaged; /* found now */
	struct paxos_damage damage;
	struct plog_position place;
};

/* ---------------------------------------------------------------- the chain */

static bool number_listed(const struct log_names *names, uint64_t number)
{
	for (size_t i = 0; i < names->count; i++)
	{
		if (names->numbers[i] == number)
			return true;
	}
	return false;
}

/* The highest below number, where a lost header can't say. */
static uint64_t number_below(const struct log_names *names, uint64_t number)
{
	uint64_t below = 0;

	for (size_t i = 0; i < names->count && names->numbers[i] < number; i++)
		below = names->numbers[i];
	return below;
}

/* From the newest back by "continues from"; log->chain in rising order. */
static enum plog_code build_chain(struct recovery *r, const struct log_names *names)
{
	struct plog *log = r->log;
	uint64_t number = names->numbers[names->count - 1];
	char name[PLOG_NAME_MAX];

	log_segment_name(number, name);
	if (number > SEGMENT_NUMBER_MAX)
		return log_fail(r->error, PLOG_CORRUPT, 0,
						"file \"%s/%s\" is not of this log, whose segments are numbered from 1",
						log->directory, name);
	log->next_number = number + 1;
	while (number != 0 && number_listed(names, number))
	{
		struct log_segment *segment;
		enum plog_code code;

		if (!log_chain_reserve(log))
			return log_fail_memory(r->error);
		code = log_segment_open(log, number, &segment, r->error);
		if (code != PLOG_OK)
			return code;
		memmove(log->chain + 1, log->chain, log->chain_length * sizeof *log->chain);
		log->chain[0] = segment;
		log->chain_length++;
		if (!segment->bad && segment->header.previous.segment >= number)
			return log_fail(r->error, PLOG_CORRUPT, 0,
							"file \"%s/%s\" continues from a segment that is not before it", log->directory,
							segment->name);
		number = segment->bad ? number_below(names, number) : segment->header.previous.segment;
	}
	return PLOG_OK;
}

/* Where the live records of chain[i] end at the latest. */
static uint64_t limit_of(const struct plog *log, size_t i)
{
	if (i + 1 < log->chain_length && !log->chain[i + 1]->bad &&
		log->chain[i + 1]->header.previous.segment == log->chain[i]->header.identity.segment)
		return log->chain[i + 1]->header.previous.offset;
	return log->chain[i]->header.size;
}

/* ---------------------------------------------------------------- markers */

/* Calls each() for every good marker of a segment. */
static enum plog_code each_marker(struct recovery *r, struct log_segment *segment,
								  void (*each)(void *argument, const struct plog_marker *marker),
								  void *argument)
{
	uint64_t end = segment->header.data_offset;
	uint32_t per_block = PLOG_BLOCK / PLOG_MARKER_BYTES;
	uint8_t block[PLOG_BLOCK];
	enum plog_code code = log_segment_ready(r->log, segment, r->error);

	if (code != PLOG_OK)
		return code;
	for (uint64_t at = PLOG_MARKERS_OFFSET; at < end; at += PLOG_BLOCK)
	{
		int64_t got = log_read_tolerant(r->log, segment->handle, block, PLOG_BLOCK, at);

		if (got < 0)
			return log_fail_io(r->log, r->error, got, "read", segment->name);
		for (uint32_t i = 0; i < per_block && got == PLOG_BLOCK; i++)
		{
			struct plog_marker marker;

			if (format_get_marker(block + i * PLOG_MARKER_BYTES, &marker, &segment->header.identity,
								  at + i * PLOG_MARKER_BYTES, segment->bad))
				each(argument, &marker);
		}
	}
	return PLOG_OK;
}

static void note_completed(void *argument, const struct plog_marker *marker)
{
	struct recovery *r = argument;

	if (plog_position_compare(marker->completed, r->completed) > 0)
		r->completed = marker->completed;
}

/* What markers tell about the bytes [from, to) of one segment. */
struct testimony
{
	uint64_t from;
	uint64_t to;
	uint64_t covered; /* from .. covered lies under good markers */
	bool progress;
	bool any; /* some marker covers a part */
	uint64_t highest_to;
	uint64_t lowest;
	struct paxos_ballot named_ballot;
	uint64_t named_slot;
};

static void name_higher(struct paxos_ballot *ballot, uint64_t *slot, struct paxos_ballot other,
						uint64_t other_slot)
{
	int order = paxos_ballot_compare(other, *ballot);

	if (order > 0 || (order == 0 && other_slot > *slot))
	{
		*ballot = other;
		*slot = other_slot;
	}
}

static void testify(void *argument, const struct plog_marker *marker)
{
	struct testimony *t = argument;

	if (marker->from >= t->to)
		return;
	/* Markers behind the place name too, those that cover no bytes as well. */
	if (marker->to >= t->from)
		name_higher(&t->named_ballot, &t->named_slot, marker->accepted, marker->end);
	if (marker->to <= t->from)
		return;
	t->any = true;
	if (marker->lowest < t->lowest)
		t->lowest = marker->lowest;
	if (marker->to > t->highest_to)
		t->highest_to = marker->to;
	if (marker->from <= t->covered && marker->to > t->covered)
	{
		t->covered = marker->to;
		t->progress = true;
	}
}

/* Markers lie in two interleaved rows, so what they cover may need several passes to join. */
static enum plog_code hear_markers(struct recovery *r, struct log_segment *segment, struct testimony *t)
{
	enum plog_code code;

	t->covered = t->from;
	t->lowest = UINT64_MAX;
	do
	{
		t->progress = false;
		code = each_marker(r, segment, testify, t);
	} while (code == PLOG_OK && t->progress);
	return code;
}

/* ---------------------------------------------------------------- scanning */

/* "length" bytes at offset of the segment, or NULL: not there, or *code says why. */
static const uint8_t *scan_bytes(struct recovery *r, struct log_segment *segment, uint64_t offset,
								 size_t length, enum plog_code *code)
{
	int64_t got;

	if (offset >= r->start && offset + length <= r->start + r->length)
		return r->buffer + (offset - r->start);
	if (length > r->capacity)
	{
		size_t capacity = length + SCAN_BYTES;
		uint8_t *buffer = plog_reallocate(r->buffer, capacity);

		if (buffer == NULL)
		{
			*code = log_fail_memory(r->error);
			return NULL;
		}
		r->buffer = buffer;
		r->capacity = capacity;
	}
	r->start = offset;
	r->length = 0;
	*code = log_segment_ready(r->log, segment, r->error);
	if (*code != PLOG_OK)
		return NULL;
	got = log_read_tolerant(r->log, segment->handle, r->buffer, length > SCAN_BYTES ? length : SCAN_BYTES,
							offset);
	if (got < 0)
	{
		*code = log_fail_io(r->log, r->error, got, "read", segment->name);
		return NULL;
	}
	r->length = (size_t) got;
	return (size_t) got >= length ? r->buffer : NULL;
}

/* The good record at offset, or NULL: none, or *code. */
static const uint8_t *scan_record(struct recovery *r, struct log_segment *segment, uint64_t offset,
								  uint64_t limit, struct plog_record *record, enum plog_code *code)
{
	const uint8_t *bytes;

	if (limit - offset < PLOG_RECORD_HEADER)
		return NULL;
	bytes = scan_bytes(r, segment, offset, PLOG_RECORD_HEADER, code);
	if (bytes == NULL)
		return NULL;
	format_get_record(bytes, record);
	if (!format_length_possible(record->length, limit - offset))
		return NULL;
	bytes = scan_bytes(r, segment, offset, record->length, code);
	if (bytes == NULL || !format_record_good(bytes, record->length, &segment->header.identity, offset))
		return NULL;
	if (record->type == 0 || record->type >= PLOG_RECORD_TYPES || record->version != 1)
	{
		*code = log_fail(r->error, PLOG_UNKNOWN, 0,
						 "a record in file \"%s/%s\", offset %" PRIu64
						 ", is of type %u, version %u, which this release does not know",
						 r->log->directory, segment->name, offset, record->type, record->version);
		return NULL;
	}
	return bytes;
}

/* One good record: kept where it lies, or waiting to be copied. */
static enum plog_code replay_record(struct recovery *r, const uint8_t *bytes,
									const struct plog_record *record, struct plog_position place, bool *fits)
{
	struct plog *log = r->log;

	*fits = true;
	if (plog_position_compare(place, r->copy_from) >= 0)
	{
		struct log_state before = log->state;

		*fits = log_state_apply(&log->state, record);
		log->state = before;
		if (!*fits)
			return PLOG_OK;
		return log_take_record(log, record, bytes + PLOG_RECORD_HEADER, record->length - PLOG_RECORD_HEADER,
							   r->error);
	}
	if (!log_placed_reserve(log, record))
		return log_fail_memory(r->error);
	*fits = log_placed_apply(log, record, place);
	log->state = log->placed;
	return PLOG_OK;
}

/* ---------------------------------------------------------------- stepping over what is bad (D7) */

/* The marker whose bytes a place lies in. */
struct cover
{
	uint64_t place;
	struct plog_marker marker; /* .to 0: none */
};

static void note_cover(void *argument, const struct plog_marker *marker)
{
	struct cover *c = argument;

	if (marker->from <= c->place && c->place < marker->to)
		c->marker = *marker;
}

/*
 * Whether the marker says exactly what its bytes were: entries of the ballot that the log had accepted before and has
 * after, one behind the other, each slot once; and that the sync of all that completed.
 */
static bool tells_entries(const struct recovery *r, const struct plog_marker *m, struct plog_position to,
						  bool last)
{
	const struct log_state *state = &r->log->state;

	return m->kinds == 1u << PLOG_RECORD_ENTRY &&
		   paxos_ballot_compare(m->accepted, state->at.accepted) == 0 && m->highest == m->end &&
		   m->lowest <= state->at.end + 1 && m->lowest >= state->at.first_slot && m->end > state->at.end &&
		   !state->damage.damaged && (!last || plog_position_compare(to, r->completed) <= 0);
}

/* Where a good record of one of the slots behind the bad one begins, and its slot; "to": nowhere before. */
static enum plog_code next_entry(struct recovery *r, struct log_segment *segment, uint64_t to, uint64_t end,
								 uint64_t *offset, uint64_t *slot)
{
	const struct plog_snapshot *now = &r->log->state.at;
	enum plog_code code = PLOG_OK;

	for (uint64_t at = *offset + PLOG_RECORD_HEADER; at + PLOG_RECORD_HEADER <= to; at += 8)
	{
		const uint8_t *bytes = scan_bytes(r, segment, at, PLOG_RECORD_HEADER, &code);
		struct plog_record record;

		if (bytes == NULL)
			break;
		format_get_record(bytes, &record);
		if (record.type != PLOG_RECORD_ENTRY || record.version != 1 || record.slot <= now->end + 1 ||
			record.slot > end || record.epoch != now->epoch ||
			paxos_ballot_compare(record.ballot, now->accepted) != 0 ||
			!format_length_possible(record.length, to - at))
			continue;
		bytes = scan_bytes(r, segment, at, record.length, &code);
		if (code != PLOG_OK)
			break;
		if (bytes == NULL || !format_record_good(bytes, record.length, &segment->header.identity, at))
			continue;
		*offset = at;
		*slot = record.slot;
		return PLOG_OK;
	}
	*offset = to;
	*slot = end + 1;
	return code;
}

static bool lose_slots(struct plog *log, uint64_t first, uint64_t last, struct plog_position place)
{
	if (log->n_lost == PAXOS_MAX_HOLES || !holes_add(&log->state.holes, first, last) ||
		!holes_add(&log->placed.holes, first, last))
		return false;
	log->lost[log->n_lost++] = (struct log_lost){first, last, place};
	log->state.at.end = log->placed.at.end = last;
	return true;
}

/*
 * The record at *offset is bad: moves *offset behind it where the markers tell what it was.  Repaired entries that are
 * bad, whether their sync completed or not, leave the holes as they were.
 */
static enum plog_code step_over(struct recovery *r, struct log_segment *segment, uint64_t limit,
								uint64_t *offset)
{
	bool last = segment == log_current(r->log);
	uint64_t number = segment->header.identity.segment;
	struct plog_position place = {number, *offset};
	struct cover cover = {.place = *offset};
	enum plog_code code = each_marker(r, segment, note_cover, &cover);
	struct plog_position to = {number, cover.marker.to};
	uint64_t next = *offset;
	uint64_t slot;

	if (code != PLOG_OK || cover.marker.to == 0 || cover.marker.to > limit || cover.marker.to % 8 != 0)
		return code;
	if (cover.marker.kinds == 1u << PLOG_RECORD_REPAIRED)
	{
		*offset = cover.marker.to;
		return PLOG_OK;
	}
	if (!tells_entries(r, &cover.marker, to, last))
		return PLOG_OK;
	if (plog_position_compare(place, r->copy_from) >= 0)
	{
		r->again = r->replace_last;
		return PLOG_OK;
	}
	code = next_entry(r, segment, cover.marker.to, cover.marker.end, &next, &slot);
	if (code == PLOG_OK && lose_slots(r->log, r->log->state.at.end + 1, slot - 1, place))
		*offset = next;
	return code;
}

/* Replays chain[i]; r->stop is where it ended. */
static enum plog_code replay_segment(struct recovery *r, size_t i)
{
	struct log_segment *segment = r->log->chain[i];
	uint64_t limit = limit_of(r->log, i);
	uint64_t offset = segment->header.data_offset;

	r->length = 0;
	r->stop_index = i;
	r->stop = (struct plog_position){segment->header.identity.segment, offset};
	while (!segment->bad && offset < limit)
	{
		enum plog_code code = PLOG_OK;
		struct plog_record record;
		bool fits = true;
		const uint8_t *bytes = scan_record(r, segment, offset, limit, &record, &code);

		if (code == PLOG_OK && bytes != NULL)
			code = replay_record(r, bytes, &record, r->stop, &fits);
		if (code != PLOG_OK)
			return code;
		if (bytes == NULL && r->step_over)
		{
			uint64_t next = offset;

			code = step_over(r, segment, limit, &next);
			if (code != PLOG_OK)
				return code;
			if (next > offset)
			{
				r->stop.offset = offset = next;
				continue;
			}
		}
		if (bytes == NULL || !fits)
			break;
		if (record.type == PLOG_RECORD_DAMAGED && record.length >= PLOG_RECORD_HEADER + 16)
			r->place = format_get_place(bytes + PLOG_RECORD_HEADER);
		offset += format_padded(record.length);
		r->stop.offset = offset;
	}
	return PLOG_OK;
}

/* Whether the state in a segment's header is the one that replay found there. */
static bool continues(const struct plog *log, const struct log_segment *segment)
{
	const struct plog_snapshot *begin = &segment->header.begin;

	return segment->bad || (begin->end == log->state.at.end && begin->epoch == log->state.at.epoch &&
							paxos_ballot_compare(begin->accepted, log->state.at.accepted) == 0);
}

static enum plog_code replay(struct recovery *r)
{
	struct plog *log = r->log;

	log->placed.at = log->chain[0]->header.begin;
	if (log->chain[0]->bad)
		log->placed.at = (struct plog_snapshot){.first_slot = 1};
	log->placed.highest = log->placed.at.accepted;
	log->state = log->placed;
	for (size_t i = 0; i < log->chain_length; i++)
	{
		enum plog_code code = replay_segment(r, i);

		if (code != PLOG_OK)
			return code;
		if (!log->chain[i]->bad)
			r->good_end = r->stop;
		if (i + 1 < log->chain_length && !continues(log, log->chain[i + 1]))
			r->unsure = true;
		/* Before a segment whose header is lost, the end is wherever records end. */
		if (log->chain[i]->bad ||
			(i + 1 < log->chain_length && !log->chain[i + 1]->bad && r->stop.offset < limit_of(log, i)))
		{
			r->stopped_early = true;
			break;
		}
	}
	return PLOG_OK;
}

/* ---------------------------------------------------------------- judging */

/* D7: what is named, and the lowest slot written, from the bad place on. */
static enum plog_code measure_damage(struct recovery *r)
{
	struct plog *log = r->log;
	struct paxos_damage *damage = &r->damage;

	damage->named_ballot = log->state.at.accepted;
	damage->named_slot = log->state.at.end;
	damage->lowest_written = log->state.at.end + 1;
	for (size_t i = r->stop_index; i < log->chain_length; i++)
	{
		struct log_segment *segment = log->chain[i];
		struct testimony t = {.from = i == r->stop_index ? r->stop.offset : segment->header.data_offset,
							  .to = limit_of(log, i)};
		enum plog_code code = hear_markers(r, segment, &t);
		uint64_t must_cover = i + 1 < log->chain_length ? t.to : t.highest_to;

		if (code != PLOG_OK)
			return code;
		if (r->completed.segment == segment->header.identity.segment && r->completed.offset > must_cover)
			must_cover = r->completed.offset;
		name_higher(&damage->named_ballot, &damage->named_slot, t.named_ballot, t.named_slot);
		if (!segment->bad)
			name_higher(&damage->named_ballot, &damage->named_slot, segment->header.begin.accepted,
						segment->header.begin.end);
		if (t.lowest < damage->lowest_written)
			damage->lowest_written = t.lowest;
		if (t.covered < must_cover || segment->bad)
			damage->lowest_written = 1;
	}
	return PLOG_OK;
}

/* D6: torn, doubtful or damage. */
static enum plog_code judge(struct recovery *r, uint64_t *tail_bytes_cut)
{
	struct plog *log = r->log;
	struct log_segment *segment = log->chain[r->stop_index];
	struct testimony t = {.from = r->stop.offset, .to = segment->header.size};
	struct plog_record record;
	enum plog_code code = PLOG_OK;
	const uint8_t *bytes;

	if (r->stopped_early || plog_position_compare(r->stop, r->completed) < 0)
		r->damaged = true;
	else
	{
		code = hear_markers(r, segment, &t);
		if (code != PLOG_OK)
			return code;
		r->damaged = t.any;
		r->damage.doubtful = t.any;
	}
	r->damage.damaged = r->damaged;
	if (r->damaged)
	{
		r->place = r->stop;
		return measure_damage(r);
	}
	/* What begins there and is no whole record is the torn tail. */
	if (segment->header.recycled || segment->header.size - r->stop.offset < PLOG_RECORD_HEADER)
		return PLOG_OK;
	bytes = scan_bytes(r, segment, r->stop.offset, PLOG_RECORD_HEADER, &code);
	if (bytes == NULL)
		return code;
	format_get_record(bytes, &record);
	if (format_length_possible(record.length, segment->header.size - r->stop.offset))
		*tail_bytes_cut = format_padded(record.length);
	return PLOG_OK;
}

/* ---------------------------------------------------------------- the new segment */

/* Damage of an earlier life and of this one together, as a record that keeps it. */
static enum plog_code take_damage(struct recovery *r)
{
	struct plog *log = r->log;
	struct paxos_damage *damage = &r->damage;
	struct plog_record record = {.type = PLOG_RECORD_DAMAGED};
	uint8_t place[FORMAT_PLACE_BYTES];

	if (log->state.damage.damaged)
	{
		name_higher(&damage->named_ballot, &damage->named_slot, log->state.damage.named_ballot,
					log->state.damage.named_slot);
		if (log->state.damage.lowest_written < damage->lowest_written)
			damage->lowest_written = log->state.damage.lowest_written;
		damage->doubtful = damage->doubtful && log->state.damage.doubtful;
	}
	record.flags = damage->doubtful ? PLOG_FLAG_DOUBTFUL : 0;
	record.ballot = damage->named_ballot;
	record.slot = damage->lowest_written;
	record.end = damage->named_slot;
	record.base = log->state.at.end;
	format_put_place(place, r->place);
	return log_take_record(log, &record, place, sizeof place, r->error);
}

/*
 * Entries that no file holds: a segment is missing, or the record that said where the log begins is lost.
 * The log then begins behind them, damaged.
 */
static enum plog_code judge_missing(struct recovery *r)
{
	struct plog *log = r->log;
	uint64_t from = log_index_complete_from(&log->index, log->placed.at.end, &log->placed.holes);
	struct plog_record begin = {.type = PLOG_RECORD_BEGIN, .slot = from};
	enum plog_code code;

	if (log->placed.at.first_slot >= from)
		return PLOG_OK;
	if (!r->damaged)
	{
		r->damage.named_ballot = log->state.at.accepted;
		r->damage.named_slot = log->state.at.end;
		r->place = log->chain[0]->header.previous;
	}
	r->damaged = true;
	r->damage.damaged = true;
	r->damage.doubtful = false;
	r->damage.lowest_written = 1;
	code = log_take_record(log, &begin, NULL, 0, r->error);
	if (code == PLOG_OK) /* behind it: that the log begins there proves nothing */
		code = take_damage(r);
	if (code == PLOG_OK)
		code = log_place_pending(log, r->error);
	return code;
}

/*
 * D7: holes are left as they are only where nothing else is wrong; and not with a Sync among what is copied, of which a
 * part may be missing.
 */
static bool is_unsure(const struct recovery *r)
{
	const struct plog *log = r->log;

	if (log->state.holes.n == 0)
		return false;
	for (const struct log_item *item = log->pending_first; item != NULL; item = item->next_pending)
		if (item->record.type == PLOG_RECORD_INSTALL)
			return true;
	return r->unsure || r->damaged || log->state.damage.damaged ||
		   log_index_complete_from(&log->index, log->placed.at.end, &log->placed.holes) >
			   log->placed.at.first_slot;
}

/* Where the new segment continues from; the segments behind that place leave the chain. */
static struct plog_position continue_from(struct recovery *r)
{
	struct plog *log = r->log;
	struct plog_position from = r->copy_from;
	size_t keep = log->chain_length;

	if (r->stopped_early || plog_position_compare(r->stop, from) < 0)
	{
		from = r->stop;
		keep = r->stop_index + 1;
		/* Nothing of a segment whose header is lost is in the log. */
		if (log->chain[r->stop_index]->bad)
		{
			keep = r->stop_index;
			from = r->good_end;
		}
	}
	else if (r->replace_last)
	{
		keep--;
		from = log->chain[keep]->header.previous;
	}
	while (log->chain_length > keep)
		log_segment_free(log, log->chain[--log->chain_length]);
	return from;
}

static enum plog_code start_segment(struct recovery *r)
{
	struct plog *log = r->log;
	struct plog_position from = continue_from(r);
	struct log_segment *segment;
	enum plog_code code;

	if (!log_chain_reserve(log))
		return log_fail_memory(r->error);
	code = log_segment_make(log, log->pending_bytes + JUDGEMENT_BYTES, from, &segment, r->error);
	if (code != PLOG_OK)
		return code;
	log_segment_use(log, segment);
	log->synced = (struct plog_position){segment->header.identity.segment, segment->header.data_offset};
	log->completed = log->synced;
	code = log_place_pending(log, r->error);
	if (code == PLOG_OK)
		code = judge_missing(r);
	if (code == PLOG_OK)
		code = log_sync_segment(log, r->error);
	if (code == PLOG_OK)
		code = log_segment_publish(log, segment, r->error);
	return code;
}

/* ---------------------------------------------------------------- all of it */

/* What is known completed, and so what must be copied; a small last segment is copied whole. */
static enum plog_code plan_copy(struct recovery *r)
{
	struct plog *log = r->log;
	struct log_segment *last = log_current(log);
	enum plog_code code;

	r->completed = (struct plog_position){last->header.identity.segment, last->header.data_offset};
	if (last->bad)
	{
		r->copy_from = (struct plog_position){UINT64_MAX, 0};
		return PLOG_OK;
	}
	code = each_marker(r, last, note_completed, r);
	r->copy_from = r->completed;
	/* So that many short lives don't leave a segment each. */
	r->replace_last = r->completed.offset - last->header.data_offset <= log->options.segment_bytes / 4;
	if (r->replace_last)
		r->copy_from.offset = last->header.data_offset;
	return code;
}

/* Replays and judges from the begin, whatever an earlier attempt has found. */
static enum plog_code attempt(struct recovery *r, uint64_t *tail_bytes_cut)
{
	struct plog *log = r->log;
	enum plog_code code;

	while (log->pending_first != NULL)
	{
		struct log_item *item = log->pending_first;

		log->pending_first = item->next_pending;
		log_item_release(item);
	}
	log->pending_last = NULL;
	log->pending_bytes = 0;
	log->pending_installs = 0;
	log_window_clear(&log->cache);
	log_window_clear(&log->staged_cache);
	log->index.count = log->staged_index.count = 0;
	log->n_lost = 0;
	memset(&log->placed, 0, sizeof log->placed);
	r->damaged = r->stopped_early = r->unsure = r->again = false;
	r->damage = (struct paxos_damage){0};
	*tail_bytes_cut = 0;
	code = replay(r);
	return code == PLOG_OK ? judge(r, tail_bytes_cut) : code;
}

static enum plog_code recover(struct recovery *r, const struct log_names *names, uint64_t *tail_bytes_cut)
{
	enum plog_code code = build_chain(r, names);

	if (code == PLOG_OK)
		code = plan_copy(r);
	if (code == PLOG_OK)
		code = attempt(r, tail_bytes_cut);
	if (code == PLOG_OK && r->again)
	{
		r->replace_last = false;
		r->copy_from = r->completed;
		code = attempt(r, tail_bytes_cut);
	}
	if (code == PLOG_OK && is_unsure(r))
	{
		r->step_over = false;
		code = plan_copy(r);
		if (code == PLOG_OK)
			code = attempt(r, tail_bytes_cut);
	}
	if (code != PLOG_OK)
		return code;
	if (r->damaged)
		code = take_damage(r);
	if (code == PLOG_OK)
		code = start_segment(r);
	if (code == PLOG_OK && r->log->state.damage.damaged)
		r->log->damage_place = r->place;
	return code;
}

enum plog_code log_recover(struct plog *log, const struct log_names *names, uint64_t *tail_bytes_cut,
						   struct plog_error *error)
{
	struct recovery r = {.log = log, .error = error, .capacity = SCAN_BYTES, .step_over = true};
	enum plog_code code;

	*tail_bytes_cut = 0;
	r.buffer = plog_allocate(SCAN_BYTES);
	if (r.buffer == NULL)
		return log_fail_memory(error);
	code = recover(&r, names, tail_bytes_cut);
	plog_free(r.buffer);
	return code;
}
