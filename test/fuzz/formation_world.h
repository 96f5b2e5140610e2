/*
 * formation_world.h - three real forming nodes, what is under way between them, and what must hold of them.
 *
 * At most one of them lies.  Everything that was ever truly said is known here: an honest store's
 * acknowledgement from the moment that it is durable, the liar's own whenever it says it.  An acknowledgement
 * under another's name that was never given is forged: messages carry no signatures, so from then on only what
 * concerns each node by itself is judged.
 */
#ifndef FORMATION_WORLD_H
#define FORMATION_WORLD_H

#include "fuzz.h"
#include "paxos/formation.h"

#define FORMERS 3
#define FORMING_RETRY_MS 100
#define FORMING_QUEUE 32
#define FORMING_SAID 256
#define FORMING_CLUSTERS 16

struct former
{
	struct formation_options options;
	struct formation f;
	uint8_t stores; /* that it had before this one */
	uint8_t blob[FORMATION_BLOB_MAX];
	uint32_t blob_length;
	/* of this store */
	bool bound; /* F3 */
	struct paxos_id bound_to;
	bool activated;
	struct paxos_config config;
};

struct forming_world
{
	struct former nodes[FORMERS]; /* node id - 1 */
	/* under way, oldest first: places in messages[], which are large */
	struct formation_message messages[FORMING_QUEUE];
	bool used[FORMING_QUEUE];
	uint8_t queue[FORMING_QUEUE];
	uint32_t n_queue;
	uint64_t now_ms;
	uint32_t liar;     /* node id; 0: nobody */
	bool lists_differ; /* the third node's list is another (F4) */
	bool lied;
	bool forged;
	bool wiped;
	uint32_t n_said;
	struct formation_ack said[FORMING_SAID];
	uint32_t n_clusters; /* that honest nodes activated */
	struct paxos_config clusters[FORMING_CLUSTERS];
};

void forming_begin(struct forming_world *w, uint32_t liar, bool lists_differ);
struct paxos_id forming_store(uint32_t node_id, uint8_t which);
/* All acknowledgements of that hash that were truly given, into m. */
void forming_tell_said(const struct forming_world *w, struct formation_message *m,
					   const struct paxos_id *hash);

/* The message reaches its receiver; "crash": which dies before its word is durable, and starts again. */
void forming_give(struct forming_world *w, const struct formation_message *m, bool crash);
/* That one of the queue, which it leaves unless "keep". */
void forming_deliver(struct forming_world *w, uint32_t at, bool keep, bool crash);
void forming_drop(struct forming_world *w, uint32_t at);
void forming_tick(struct forming_world *w, struct former *n);
/* Everybody ticks, and all that is under way arrives. */
void forming_round(struct forming_world *w);
void forming_restart(struct forming_world *w, struct former *n);
void forming_wipe(struct forming_world *w, struct former *n);
/* F3: where nobody lied and no store was lost, all are activated once everything arrives. */
void forming_end(struct forming_world *w);

#endif /* FORMATION_WORLD_H */
