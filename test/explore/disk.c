/*
 * disk.c - a node's log in memory: writes are applied in order, a prefix of them survives a crash.
 */
#include <string.h>

#include "explore.h"

ballot ballot_pack(struct paxos_ballot b)
{
	if (b.priority != 0 || b.node_id > NODES || b.round >= UINT16_MAX / 4)
		die("ballot %u.%u can't be packed", (unsigned) b.round, b.node_id);
	return (ballot) (b.round * 4 + b.node_id);
}

struct paxos_ballot ballot_unpack(ballot b)
{
	return (struct paxos_ballot){.round = BALLOT_ROUND(b), .node_id = BALLOT_NODE(b)};
}

static const char *apply_stage(struct image *image, const struct write *w)
{
	if (image->staged_ballot != w->ballot)
		memset(image->staged, 0, sizeof(image->staged));
	image->staged_ballot = w->ballot;
	memcpy(image->staged + w->first, w->values, w->n);
	return NULL;
}

static const char *apply_install(struct image *image, const struct write *w)
{
	if (w->base > image->end || w->end < w->base)
		return "an Install whose base is not in the log";
	for (uint32_t slot = w->base + 1u; slot <= w->end; slot++)
	{
		if (image->staged_ballot != w->ballot || image->staged[slot] == 0)
			return "an Install of what was not staged";
		image->log[slot] = image->staged[slot];
	}
	memset(image->log + w->end + 1, 0, SLOTS - w->end - 1u);
	image->end = w->end;
	image->accepted = w->ballot;
	image->staged_ballot = 0;
	memset(image->staged, 0, sizeof(image->staged));
	return NULL;
}

const char *image_apply(struct image *image, const struct write *w)
{
	switch (w->type)
	{
		case PAXOS_WRITE_PROMISE:
			if (w->ballot < image->promise)
				return "a promise that falls (S4)";
			image->promise = w->ballot;
			if (image->staged_ballot < w->ballot) /* never installed: Y1 keys it by ballot */
			{
				image->staged_ballot = 0;
				memset(image->staged, 0, sizeof(image->staged));
			}
			return NULL;
		case PAXOS_WRITE_APPEND:
			if (w->first != image->end + 1)
				return "an Append over a gap";
			memcpy(image->log + w->first, w->values, w->n);
			image->end += w->n;
			image->accepted = w->ballot;
			return NULL;
		case PAXOS_WRITE_STAGE:
			return apply_stage(image, w);
		case PAXOS_WRITE_INSTALL:
			return apply_install(image, w);
		case PAXOS_WRITE_REPAIR: /* no log rots here */
			break;
	}
	return "a write of an unknown type";
}
