/*
 * holes.h - D7: the slots of a log whose records rotted away, while all that is around them is known.  Pure; the log
 * and the core keep such a list, and change it alike.
 */
#ifndef PAXOS_HOLES_H
#define PAXOS_HOLES_H

#include "paxos/paxos.h"

/* The hole that slot lies in, or NULL. */
const struct paxos_slots *holes_find(const struct paxos_holes *holes, uint64_t slot);
/* The first slot from "slot" on that lies in a hole; 0: there is none. */
uint64_t holes_next(const struct paxos_holes *holes, uint64_t slot);
/* Adds one behind all others, or joins it to the last.  False: there is no room. */
bool holes_add(struct paxos_holes *holes, uint64_t first, uint64_t last);
/* One slot is whole again.  False, and nothing is changed: no room for what it would split. */
bool holes_fill(struct paxos_holes *holes, uint64_t slot);
/* The log is cut behind base; begins at first_slot. */
void holes_cut(struct paxos_holes *holes, uint64_t base);
void holes_trim(struct paxos_holes *holes, uint64_t first_slot);

#endif /* PAXOS_HOLES_H */
