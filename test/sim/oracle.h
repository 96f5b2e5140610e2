/*
 * oracle.h - between the oracle's files: what is known of entries, ballots and each node's durable log.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "sim.h"

#include "paxos/holes.h"

/* An array by slot of entry names; 0: none. */
struct slots
{
	uint32_t *ids;
	uint64_t capacity;
	uint64_t end; /* the highest slot ever set */
};

/* What a voter said of its log in a Promise, or the proposer's own when it adopted another (P1). */
struct report
{
	uint32_t node_id;
	bool damaged;
	bool doubtful;
	struct paxos_ballot accepted;
	uint64_t end;
	struct paxos_ballot named_ballot; /* D7; of an undamaged one its own pair */
	uint64_t named_slot;
};

/* One node repeats itself differently after a restart; more often than that nobody listens. */
#define REPORTS 4

/* What is known of one ballot. */
struct ballot_record
{
	struct paxos_ballot ballot;
	uint64_t owner_run;   /* the run of its node that took it */
	bool prepared;        /* a Prepare left */
	bool established;     /* its leader has adopted a log */
	uint64_t adopted_end; /* the log that its leader adopted; its no-op is behind it */
	uint32_t n_reports;
	struct report reports[SIM_NODES * REPORTS];
	struct slots log;                /* what its leader put, or anyone holds at it, by slot (S2) */
	uint64_t through[SIM_NODES + 1]; /* durable on that node at this ballot, ever */
	uint64_t chosen_through;
};

/* One node's log: as handed out by its core, or as durable on its disk. */
struct image
{
	struct paxos_ballot promise;
	struct paxos_ballot accepted;
	uint64_t before; /* the log begins behind this slot; what is before it the table holds, as it is chosen */
	uint64_t end;
	struct slots log; /* what it stands for: of slots through "before", what is chosen there */
	struct paxos_ballot stage_ballot;
	uint64_t stage_base;
	struct slots stage;
	bool damaged;
	bool doubtful;
	struct paxos_damage damage; /* as recovery found it */
	struct paxos_holes holes;   /* ... and what is still missing of a log that is whole but for that */
	uint64_t repaired_by;       /* id of the last write that put something back, or healed */
};

/* A write that is not known durable. */
struct pending
{
	uint64_t id;
	enum paxos_write_type type;
	struct paxos_ballot ballot;
	uint64_t first_slot;
	uint64_t base;
	uint64_t end;
	uint32_t n;
	uint32_t *ids;
	bool synced; /* on the disk already, though the log does not say so yet: a trim's sync covered it */
};

/* What of a durable log a Promise tells, as it was after the write of that id. */
struct told
{
	uint64_t id;
	struct paxos_ballot accepted;
	uint64_t end;
	bool damaged;
};

struct witness
{
	struct image taken;
	struct image durable;
	struct told told;    /* as far as the core has heard of it */
	struct told *untold; /* synced since, in order */
	uint32_t n_untold;
	uint32_t untold_capacity;
	struct pending *pending;
	uint32_t n_pending;
	uint32_t pending_capacity;
	uint64_t largest_append; /* bytes of one message */
	uint64_t accepts_from;   /* what is behind was taken by Accepts, in this life (A6) */
	uint64_t trims;          /* the log was to begin there */
	uint64_t restores;       /* ... and to end there at least (T5) */
};

/* What a leader has in flight to a follower. */
struct flow
{
	struct paxos_ballot ballot;
	uint64_t acknowledged;
};

struct name
{
	uint64_t digest;
	uint32_t length;
	uint8_t *bytes;
};

struct oracle
{
	/* entries by name: equal bytes, equal name */
	struct name *names; /* by id - 1 */
	uint32_t n_names;
	uint32_t names_capacity;
	uint32_t *hash;
	uint32_t hash_size;

	struct ballot_record *ballots[16384]; /* a cluster that damage stopped may try for long */
	uint32_t n_ballots;
	uint32_t last_ballot;

	struct witness witnesses[SIM_MACHINES + 1]; /* by machine */
	struct slots chosen;
	struct slots chosen_at; /* the lowest ballot it was chosen at: index in ballots, and one */
	uint64_t chosen_through;
	struct flow flows[SIM_MACHINES + 1][SIM_NODES + 1]; /* by machine and follower */
	struct model *model;
};

/* oracle_log.c */
uint32_t slots_get(const struct slots *slots, uint64_t slot);
void slots_set(struct slots *slots, uint64_t slot, uint32_t id);
void slots_copy(struct slots *to, const struct slots *from, uint64_t end);
void image_copy(struct image *to, const struct image *from);
void image_free(struct image *image);
/* What a core would tell of that log that has heard of all its writes, through "id". */
struct told image_told(const struct image *image, uint64_t id);
/* Applies one write as the log means it; "take" of an APPEND's entries.  The name of what can't be, or NULL. */
const char *image_apply(struct image *image, const struct pending *write, uint32_t take);
uint32_t oracle_name(struct oracle *o, const struct paxos_entry *entry);
void oracle_names_free(struct oracle *o);

/* oracle.c */
struct ballot_record *oracle_ballot(struct world *w, struct paxos_ballot ballot);
/* S2: the leader of that ballot put this entry there, and no other. */
void oracle_put(struct world *w, struct ballot_record *record, uint64_t slot, uint32_t id,
				const struct node *n);
/* What node n durably holds counts towards what is chosen. */
void oracle_count(struct world *w, const struct node *n);

/* oracle_table.c */
/* S9: the node has a good copy of what is chosen there, log or table. */
bool oracle_holds(const struct world *w, uint32_t node, uint64_t slot);
/* A recovery found the log to begin there. */
void oracle_check_first_slot(struct world *w, const struct node *n);
/* T5 for one picture of a log. */
void image_restore(struct world *w, struct image *image, uint64_t slot);

/* adopted.c */
/* S5, S6: notes what a Promise says. */
void adopted_report(struct world *w, const struct paxos_message *m);
/* ... and judges the log that a leader adopts: "own" is its log as it was before. */
void adopted_check(struct world *w, const struct node *n, const struct image *own,
				   const struct pending *install);
/* S9: every quorum of whole logs holds each chosen slot; "from" on, after n's log changed. */
void adopted_check_copies(struct world *w, const struct node *n, uint64_t from);

/* bounds.c: L6, from outside the core */
void bounds_write(struct world *w, const struct node *n, const struct paxos_write *write);
void bounds_message(struct world *w, const struct node *n, const struct paxos_message *m);
/* oracle_heartbeat.c */
void oracle_check_heartbeat(struct world *w, const struct node *n, const struct paxos_message *m);

#endif /* SIM_ORACLE_H */
