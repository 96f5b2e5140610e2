/*
 * explain.c - records and entries in words (explain.h).
 */
#include "explain.h"

#include <inttypes.h>

#include "paxos/command.h"
#include "paxos/formation.h"

/* Of keys and values so many bytes are shown. */
#define SHOWN_BYTES 64

void explain_ballot(FILE *out, struct paxos_ballot ballot)
{
	if (ballot.priority != 0)
		fprintf(out, "%" PRIu64 ".%" PRIu32 ".%" PRIu32, ballot.round, ballot.priority, ballot.node_id);
	else
		fprintf(out, "%" PRIu64 ".%" PRIu32, ballot.round, ballot.node_id);
}

/* Text in quotes, on one line, whatever is in it. */
static void explain_text(FILE *out, const char *text, uint32_t length)
{
	fputc('"', out);
	for (uint32_t i = 0; i < length && i < SHOWN_BYTES; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
	if (length > SHOWN_BYTES)
		fprintf(out, "... (%" PRIu32 " bytes)", length);
}

static void explain_precondition(FILE *out, uint8_t precondition)
{
	static const char *const names[] = {"",
										"if absent",
										"if there",
										"if its value is as expected",
										"if its revision is as expected",
										"if its create revision is as expected"};

	if (precondition > 0 && precondition < sizeof names / sizeof names[0])
		fprintf(out, " %s", names[precondition]);
}

static void explain_operation(FILE *out, const struct operation *operation)
{
	static const char *const kinds[] = {"?", "put", "delete", "clear", "clear all", "get", "check"};
	static const char *const branches[] = {"", "then ", "else "};

	fprintf(out, "%s%s", operation->branch < 3 ? branches[operation->branch] : "? ",
			operation->kind < sizeof kinds / sizeof kinds[0] ? kinds[operation->kind] : "?");
	if (operation->kind != OPERATION_CLEAR_ALL)
	{
		fputc(' ', out);
		explain_text(out, operation->partition, operation->partition_length);
	}
	if (operation->kind != OPERATION_CLEAR)
	{
		fputs(operation->kind == OPERATION_CLEAR_ALL ? " " : " / ", out);
		explain_text(out, operation->key, operation->key_length);
	}
	if (operation->kind == OPERATION_PUT)
	{
		fputs(" = ", out);
		explain_text(out, operation->value, operation->value_length);
	}
	explain_precondition(out, operation->precondition);
}

static void explain_command(FILE *out, const struct paxos_entry *entry)
{
	struct command_reader reader;
	struct operation operation;
	enum decode_result result = command_open(&reader, entry);

	if (result == DECODE_OK && reader.request_id_length > 0)
	{
		fputs(", request ", out);
		explain_text(out, reader.request_id, reader.request_id_length);
	}
	for (const char *between = ": "; result == DECODE_OK; between = "; ")
	{
		result = command_next(&reader, &operation);
		if (result == DECODE_OK)
		{
			fputs(between, out);
			explain_operation(out, &operation);
		}
	}
	if (result != DECODE_END)
		fprintf(out, " (%s)",
				result == DECODE_UNKNOWN ? "of a kind that this release does not know" : "malformed");
}

static void explain_session(FILE *out, const struct paxos_entry *entry)
{
	struct open_session open;

	if (open_session_decode(entry, &open) == DECODE_OK)
		fprintf(out, " of node %" PRIu32 ", run %" PRIu64, open.node_id, open.run);
}

static void explain_fence(FILE *out, const struct paxos_entry *entry)
{
	struct fence fence;

	if (fence_decode(entry, &fence) != DECODE_OK)
		return;
	if (fence.session != 0)
		fprintf(out, ": gives up s%" PRIu64 "-%" PRIu64, fence.session, fence.number);
	else
	{
		fputs(": gives up request ", out);
		explain_text(out, fence.request_id, fence.request_id_length);
	}
}

static void explain_entry(FILE *out, const struct paxos_entry *entry)
{
	static const char *const kinds[] = {"?", "no-op", "command", "opens a session", "stop sign", "fence"};
	struct entry_header header;
	const char *what = NULL;

	if (!entry_decode_header(entry, &header))
	{
		fputs("what can't be an entry", out);
		return;
	}
	fputs(header.kind < sizeof kinds / sizeof kinds[0] ? kinds[header.kind] : "?", out);
	if (entry_is_numbered(header.kind))
		fprintf(out, " s%" PRIu64 "-%" PRIu64, header.session, header.number);
	if (header.kind == ENTRY_COMMAND)
		explain_command(out, entry);
	else if (header.kind == ENTRY_OPEN_SESSION)
		explain_session(out, entry);
	else if (header.kind == ENTRY_FENCE)
		explain_fence(out, entry);
	else if (entry_check(entry, &what) != DECODE_OK && what != NULL)
		fprintf(out, " (%s)", what);
}

void explain_record(FILE *out, const struct plog_record *record, const uint8_t *bytes)
{
	struct paxos_entry entry = {bytes + PLOG_RECORD_HEADER, record->length - PLOG_RECORD_HEADER};

	switch ((enum plog_record_type) record->type)
	{
		case PLOG_RECORD_ENTRY:
		case PLOG_RECORD_STAGE:
		case PLOG_RECORD_REPAIRED:
			fprintf(out, "%s %" PRIu64 ", ballot ",
					record->type == PLOG_RECORD_ENTRY   ? "slot"
					: record->type == PLOG_RECORD_STAGE ? "staged for slot"
														: "repaired slot",
					record->slot);
			explain_ballot(out, record->ballot);
			fputs(": ", out);
			explain_entry(out, &entry);
			break;
		case PLOG_RECORD_INSTALL:
			fprintf(out,
					"install: cuts behind slot %" PRIu64 ", takes what is staged through slot %" PRIu64
					", ballot ",
					record->base, record->end);
			explain_ballot(out, record->ballot);
			break;
		case PLOG_RECORD_DAMAGED:
			fprintf(out,
					"damaged%s: whole through slot %" PRIu64 ", slots from %" PRIu64
					" on were written behind that, ",
					record->flags & PLOG_FLAG_DOUBTFUL ? " or torn" : "", record->base, record->slot);
			fprintf(out, "up to slot %" PRIu64 " at ballot ", record->end);
			explain_ballot(out, record->ballot);
			break;
		case PLOG_RECORD_FORGIVEN:
			fputs("gives a doubtful tail up", out);
			break;
		case PLOG_RECORD_BEGIN:
			fprintf(out, "the log begins at slot %" PRIu64, record->slot);
			break;
		case PLOG_RECORD_RESTORING:
			if (record->slot == 0)
				fputs("the snapshot is given up", out);
			else
				fprintf(out, "the database is about to hold a snapshot as of slot %" PRIu64, record->slot);
			break;
		default:
			fprintf(out, "a record of type %u, which this release does not know", record->type);
	}
}
