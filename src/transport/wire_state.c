/*
 * wire_state.c - struct state_message as protobuf, and back (PROTOCOL T3).
 */
#include "transport/wire_state.h"

#include <string.h>

#include "transport/arena.h"
#include "transport/paxoskv.pb-c.h"
#include "transport/wire_formation.h"

#define HASH_BYTES 16

/* ---------------------------------------------------------------- encode */

/* A point and its hash's bytes. */
struct point_parts
{
	Paxoskv__StatePoint point;
	uint8_t hash[HASH_BYTES];
};

static void put_point(struct point_parts *parts, const struct state_point *from)
{
	Paxoskv__StatePoint *to = &parts->point;

	paxoskv__state_point__init(to);
	to->slot = from->slot;
	to->rows = from->rows;
	state_hash_to_bytes(from->hash, parts->hash);
	to->hash = (ProtobufCBinaryData){HASH_BYTES, parts->hash};
}

bool wire_encode_state(const struct state_message *message, const struct paxos_id *cluster_id,
					   struct wire_encoded *out)
{
	struct point_parts points[STATE_POINTS_MAX], kept, found;
	Paxoskv__StatePoint *list[STATE_POINTS_MAX];
	Paxoskv__StateRecount recount = PAXOSKV__STATE_RECOUNT__INIT;
	Paxoskv__State to = PAXOSKV__STATE__INIT;

	to.from = message->from;
	to.to = message->to;
	to.cluster_id = wire_put_id(cluster_id);
	to.epoch = message->epoch;
	to.diverged = message->diverged;
	to.points = list;
	for (uint32_t i = 0; i < STATE_POINTS_MAX; i++)
	{
		if (message->points.points[i].slot == 0)
			continue;
		put_point(&points[i], &message->points.points[i]);
		list[to.n_points++] = &points[i].point;
	}
	to.asked = message->asked;
	to.asked_slot = message->asked_slot;
	to.answered = message->answered;
	if (message->answered != 0)
	{
		put_point(&kept, &message->recount.kept);
		put_point(&found, &message->recount.found);
		recount.kept = &kept.point;
		recount.found = &found.point;
		recount.differs = message->recount.differs;
		to.recount = &recount;
	}
	if (!wire_put_fixed(out, WIRE_STATE, 0, paxoskv__state__get_packed_size(&to)))
		return false;
	paxoskv__state__pack(&to, out->head + WIRE_FIXED_BYTES);
	return true;
}

/* ---------------------------------------------------------------- decode */

static bool get_point(struct state_point *to, const Paxoskv__StatePoint *from)
{
	if (from == NULL || from->hash.len != HASH_BYTES)
		return false;
	to->slot = from->slot;
	to->rows = from->rows;
	to->hash = state_hash_from_bytes(from->hash.data);
	return true;
}

static bool get_points(struct state_points *to, const Paxoskv__State *from)
{
	if (from->n_points > STATE_POINTS_MAX)
		return false;
	for (size_t i = 0; i < from->n_points; i++)
	{
		/* 0 is no slot, and stands for no point. */
		if (!get_point(&to->points[i], from->points[i]) || to->points[i].slot == 0)
			return false;
	}
	return true;
}

static bool get_recount(struct state_message *m, const Paxoskv__State *from)
{
	if (from->answered == 0)
		return true;
	if (from->recount == NULL)
		return false;
	m->answered = from->answered;
	m->recount.differs = from->recount->differs;
	return get_point(&m->recount.kept, from->recount->kept) &&
		   get_point(&m->recount.found, from->recount->found);
}

enum wire_result wire_decode_state(const uint8_t *bytes, uint32_t length, struct wire_decoded *d)
{
	struct state_message *m = &d->state;
	struct arena arena;
	Paxoskv__State *from;

	arena_init(&arena, d->arena, sizeof(d->arena));
	from = paxoskv__state__unpack(&arena.allocator, length, bytes);
	if (from == NULL || !wire_get_id(&d->cluster_id, &from->cluster_id))
		return WIRE_MALFORMED;
	memset(m, 0, sizeof(*m));
	m->from = from->from;
	m->to = from->to;
	m->epoch = from->epoch;
	m->diverged = from->diverged;
	m->asked = from->asked;
	m->asked_slot = from->asked_slot;
	return get_points(&m->points, from) && get_recount(m, from) ? WIRE_OK : WIRE_MALFORMED;
}
