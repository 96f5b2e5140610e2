/*
 * print.c - steps and states as lines to read.
 */
#include <stdio.h>
#include <string.h>

#include "explore.h"

static const char *const message_names[PAXOS_MESSAGE_TYPES] = {
	[PAXOS_HEARTBEAT] = "Heartbeat",
	[PAXOS_HEARTBEAT_REPLY] = "Answer",
	[PAXOS_PREPARE] = "Prepare",
	[PAXOS_PROMISE] = "Promise",
	[PAXOS_PULL] = "Pull",
	[PAXOS_CHUNK] = "Chunk",
	[PAXOS_SYNC] = "Sync",
	[PAXOS_SYNC_PROGRESS] = "SyncProgress",
	[PAXOS_ACCEPT] = "Accept",
	[PAXOS_ACCEPTED] = "Accepted",
	[PAXOS_GAP] = "Gap",
	[PAXOS_CHOSEN] = "Chosen",
	[PAXOS_REFUSE] = "Refuse",
	[PAXOS_FORWARD] = "Forward",
	[PAXOS_FORWARD_REPLY] = "ForwardReply",
	[PAXOS_READ_REQUEST] = "ReadRequest",
	[PAXOS_READ_REPLY] = "ReadReply",
	[PAXOS_READ_ROUND] = "ReadRound",
	[PAXOS_READ_ROUND_REPLY] = "ReadRoundReply",
	[PAXOS_FENCE] = "Fence",
	[PAXOS_TRIMMED] = "Trimmed",
	[PAXOS_REPAIR_ASK] = "RepairAsk",
	[PAXOS_REPAIR] = "Repair",
};

static const char *const role_names[] = {"-", "follower", "candidate", "leader", "fenced"};

static void print_ballot(ballot b)
{
	if (b == 0)
		printf("-");
	else
		printf("%u.%u", BALLOT_ROUND(b), BALLOT_NODE(b));
}

/* noop/1, open/1, put7/1: what it is, and the node that made it. */
static void print_value(uint8_t id)
{
	struct paxos_entry entry;
	struct entry_header header;

	if (id == 0)
	{
		printf("none");
		return;
	}
	entry.bytes = pool_get(values, id, &entry.length);
	entry_decode_header(&entry, &header);
	if (header.kind == ENTRY_NOOP)
		printf("noop/%u", header.node_id);
	else if (header.kind == ENTRY_OPEN_SESSION)
		printf("open/%u", header.node_id);
	else
		printf("put%u/%u", entry.bytes[ENTRY_HEADER_BYTES], header.node_id);
}

static void print_values(const uint8_t *ids, uint32_t n)
{
	printf("[");
	for (uint32_t i = 0; i < n; i++)
	{
		printf(i == 0 ? "" : " ");
		print_value(ids[i]);
	}
	printf("]");
}

static void print_message(uint32_t id)
{
	const struct flying *f = message_get(id);
	const struct paxos_message *m = &f->m;

	printf("%s ", message_names[m->type]);
	print_ballot(ballot_pack(m->ballot));
	switch (m->type)
	{
		case PAXOS_PROMISE:
			printf(" accepted ");
			print_ballot(ballot_pack(m->accepted));
			printf(" end %u chosen %u", (unsigned) m->end, (unsigned) m->chosen);
			break;
		case PAXOS_SYNC:
			printf(" base %u end %u", (unsigned) m->base, (unsigned) m->end);
			break;
		case PAXOS_ACCEPT:
			printf(" behind %u chosen %u", (unsigned) m->slot, (unsigned) m->chosen);
			break;
		case PAXOS_ACCEPTED:
		case PAXOS_GAP:
			printf(" through %u", (unsigned) m->slot);
			break;
		case PAXOS_CHOSEN:
			printf(" through %u", (unsigned) m->chosen);
			break;
		case PAXOS_REFUSE:
		case PAXOS_READ_ROUND_REPLY:
			printf(" promised ");
			print_ballot(ballot_pack(m->followed));
			break;
		default:
			break;
	}
	if (m->n_entries > 0)
	{
		printf(" ");
		print_values(f->entries, m->n_entries);
	}
	printf(" n%u->n%u", m->from, m->to);
}

static const char *action_words(const struct world *w, struct action a)
{
	const struct node *n = node_get(w->node[a.node - 1]);

	switch (a.type)
	{
		case DURABLE:
			return a.arg == n->n_pending ? "its writes are durable" : "its first writes are durable";
		case ELECT:
			return "takes over";
		case BEAT:
			return "a round of heartbeats";
		case TICK:
			return "waits for answers in vain, asks again";
		case LONG_TICK:
			return "an election timeout without answers";
		case PROPOSE:
			return "its client puts";
		case READ:
			return "its client asks for a linearizable read";
		case CUT:
			return "its links are cut";
		case HEAL:
			return "its links are healed";
		case HOLD:
			return "the oldest message, to this node, is held back";
		case STALL:
			return "its disk is held back";
	}
	return "?";
}

void print_action(const struct world *w, struct action a)
{
	printf("n%u  ", a.node);
	if (a.type == DELIVER || a.type == DUPLICATE)
	{
		printf(a.type == DELIVER ? "receives " : "receives a copy of ");
		print_message(w->flight[a.arg]);
	}
	else if (a.type == CRASH)
		printf("crashes, %u of %u writes survive%s, restarts", a.arg >> 1,
			   node_get(w->node[a.node - 1])->n_pending, a.arg & 1 ? " and the promises" : "");
	else
		printf("%s", action_words(w, a));
	if (a.type == DURABLE)
		printf(" (%u of %u)", a.arg, node_get(w->node[a.node - 1])->n_pending);
	printf("\n");
}

void print_world(const struct world *w)
{
	for (uint32_t i = 0; i < NODES; i++)
	{
		const struct node *n = node_get(w->node[i]);

		printf("    n%u %s run %u%s: promise ", i + 1, role_names[n->role], n->run,
			   w->cut == i + 1 ? " (cut off)" : "");
		print_ballot(n->durable.promise);
		printf(" accepted ");
		print_ballot(n->durable.accepted);
		printf(" log ");
		print_values(n->durable.log + 1, n->durable.end);
		printf(" chosen %u", n->face.applied_end);
		if (n->n_pending > 0)
		{
			printf("; %u writes under way: promise ", n->n_pending);
			print_ballot(n->taken.promise);
			printf(" accepted ");
			print_ballot(n->taken.accepted);
			printf(" log ");
			print_values(n->taken.log + 1, n->taken.end);
		}
		printf("\n");
	}
	for (uint32_t i = 0; i < w->n; i++)
	{
		printf("    in flight: ");
		print_message(w->flight[i]);
		printf("\n");
	}
}
