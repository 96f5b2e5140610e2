/*
 * explain.h - records and entries in words, one line each.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <stdio.h>

#include "log/format.h"

/* "round.node", with the priority between where there is one. */
void explain_ballot(FILE *out, struct paxos_ballot ballot);

/* A good record's type and what it says, its entry included; "bytes" are the record's. */
void explain_record(FILE *out, const struct plog_record *record, const uint8_t *bytes);

#endif /* EXPLAIN_H */
