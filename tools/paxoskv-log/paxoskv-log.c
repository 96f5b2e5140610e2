/*
 * paxoskv-log.c - lists, verifies and explains the files of a log directory, and changes none of them.
 *
 * "verify" is a real start of the log, by the code that the server runs, over file calls that write to memory
 * only (overlay.h); so what it says is what the next start would make of the directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "complain.h"
#include "explain.h"
#include "overlay.h"
#include "paxos/bytes.h"
#include "paxos/command.h"
#include "paxos/formation.h"
#include "segment_file.h"

/* What looks damaged while a server writes is looked at again. */
#define IN_USE_TRIES 20
#define IN_USE_PAUSE_MS 100

static const char usage[] =
	"paxoskv-log lists, verifies and explains the log of a paxoskv node.  It changes nothing.\n"
	"\n"
	"Usage:\n"
	"  paxoskv-log list DIRECTORY\n"
	"      the node's identity and promise, the cluster's members, and each segment file\n"
	"  paxoskv-log verify DIRECTORY\n"
	"      what the next start would make of it, and every record read once\n"
	"  paxoskv-log show DIRECTORY [FIRST_SLOT [LAST_SLOT]]\n"
	"      its records in order, in words; with slots, only the entries of those\n"
	"\n"
	"DIRECTORY is paxoskv.log_directory (by default paxoskv/pgsql_tmp_log in the data directory).\n"
	"While the server runs, the end of the log is in the making and may seem torn.\n"
	"\n"
	"Exit status: 0 the log is whole, 1 it is damaged, 2 it could not be examined.\n";

void complain(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("paxoskv-log: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_TROUBLE);
}

static void print_id(const struct paxos_id *id)
{
	for (size_t i = 0; i < sizeof id->bytes; i++)
		printf("%02x", id->bytes[i]);
}

/* A log directory has metadata or segments.  Returns whether a server has it open. */
static bool check_directory(const char *directory)
{
	struct segment_numbers numbers;
	char path[2048];
	bool in_use;
	int handle;

	segment_numbers_list(&numbers, directory);
	snprintf(path, sizeof path, "%s/metadata.1", directory);
	if (numbers.count == 0 && access(path, F_OK) != 0)
		complain("directory \"%s\" does not hold a log", directory);
	free(numbers.numbers);
	snprintf(path, sizeof path, "%s/lock", directory);
	handle = open(path, O_RDONLY | O_CLOEXEC);
	in_use = handle >= 0 && flock(handle, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (in_use)
		fputs("paxoskv-log: a server has this log open; its end may be in the making\n", stderr);
	if (handle >= 0)
		close(handle);
	return in_use;
}

/* ---------------------------------------------------------------- list */

/* formation.h: a version, the configuration's length, the configuration. */
static void print_configuration(const struct plog_metadata *metadata)
{
	struct paxos_config config;
	const uint8_t *blob = metadata->config;
	uint32_t length = metadata->config_length < 3 ? 0 : get_u16(blob + 1);

	if (length == 0)
	{
		printf("cluster        not formed\n");
		return;
	}
	if (blob[0] != 1 || length + 3 > metadata->config_length || !config_decode(&config, blob + 3, length))
	{
		printf("cluster        of a version that this release does not know\n");
		return;
	}
	printf("cluster        ");
	print_id(&config.cluster_id);
	printf(", epoch %" PRIu64 "\n", config.epoch);
	for (uint32_t i = 0; i < config.n_members; i++)
	{
		printf("  node %-8" PRIu32, config.members[i].node_id);
		print_id(&config.members[i].store_id);
		printf(" %s%s\n", config.members[i].address, config.members[i].learner ? ", learner" : "");
	}
}

/* One copy; whether it is good. */
static bool read_metadata(const char *directory, int copy, struct plog_metadata *metadata,
						  const char **verdict)
{
	const struct file_ops *disk = file_ops_posix();
	uint8_t block[PLOG_BLOCK];
	char path[2048];
	int64_t got;
	int handle;

	snprintf(path, sizeof path, "%s/metadata.%d", directory, copy);
	*verdict = "missing";
	handle = disk->open(disk->context, path, false, true);
	if (handle < 0 && handle != -ENOENT)
		complain("could not open file \"%s\": %s", path, strerror(-handle));
	if (handle < 0)
		return false;
	got = disk->pread(disk->context, handle, block, sizeof block, 0);
	disk->close(disk->context, handle);
	*verdict = "bad";
	if (got != (int64_t) sizeof block)
		return false;
	switch (format_get_metadata(block, metadata))
	{
		case FORMAT_GOOD:
			*verdict = "good";
			return true;
		case FORMAT_UNKNOWN:
			*verdict = "of a version that this release does not know";
			return false;
		default:
			return false;
	}
}

static bool list_metadata(const char *directory)
{
	struct plog_metadata newest = {0};
	const char *verdicts[2];
	bool all_good = true, any = false;

	for (int copy = 1; copy <= 2; copy++)
	{
		struct plog_metadata metadata;
		bool good = read_metadata(directory, copy, &metadata, &verdicts[copy - 1]);

		if (good && (!any || metadata.sequence > newest.sequence))
			newest = metadata;
		any = any || good;
		all_good = all_good && good;
	}
	printf("metadata       copy 1 %s, copy 2 %s\n", verdicts[0], verdicts[1]);
	if (!any)
		return false;
	printf("store id       ");
	print_id(&newest.store_id);
	printf("\nrun            %" PRIu64 "\npromise        ", newest.run);
	explain_ballot(stdout, newest.promise);
	printf("\n");
	print_configuration(&newest);
	return all_good;
}

/* Where its live records end: where the next one of the chain continues from, else the file's end. */
struct chain_link
{
	bool in_chain;
	uint64_t limit;
};

/* From the newest back by "continues from". */
static struct chain_link *find_chain(const char *directory, const struct segment_numbers *numbers)
{
	struct chain_link *links = calloc(numbers->count + 1, sizeof *links);
	uint64_t wanted = numbers->count > 0 ? numbers->numbers[numbers->count - 1] : 0;
	uint64_t limit = UINT64_MAX;

	if (links == NULL)
		complain("out of memory");
	for (size_t i = numbers->count; i-- > 0;)
	{
		struct segment_file file;

		if (numbers->numbers[i] != wanted)
			continue;
		segment_file_read(&file, directory, wanted);
		links[i] = (struct chain_link){true, limit};
		if (segment_file_usable(&file))
		{
			wanted = file.header.previous.segment;
			limit = file.header.previous.offset;
		}
		else
		{
			wanted = i > 0 ? numbers->numbers[i - 1] : 0;
			limit = UINT64_MAX;
		}
		segment_file_free(&file);
	}
	return links;
}

/* Good records end before the next segment goes on, or, in the newest one, before what is known synced (D5). */
static bool ends_early(const struct segment_file *file, const struct chain_link *link, uint64_t offset)
{
	struct plog_marker newest;

	if (!link->in_chain)
		return false;
	if (link->limit != UINT64_MAX)
		return offset < link->limit;
	return segment_file_markers(file, &newest) > 0 && newest.completed.segment == file->number &&
		   offset < newest.completed.offset;
}

/* Whether nothing is wrong with it, as far as the log needs it. */
static bool list_segment(const char *directory, uint64_t number, const struct chain_link *link)
{
	struct segment_file file;
	struct plog_record record;
	struct plog_marker newest;
	uint64_t offset, records = 0, first = UINT64_MAX, last = 0;
	uint32_t markers;
	bool good;

	segment_file_read(&file, directory, number);
	printf("%016" PRIx64 "  ", number);
	if (!segment_file_usable(&file))
	{
		printf("%s\n", file.known ? "its header is bad in both copies"
								  : "of a version that this release does not know");
		segment_file_free(&file);
		return !link->in_chain;
	}
	offset = file.header.data_offset;
	while (segment_file_next(&file, link->limit, &offset, &record) != NULL)
	{
		records++;
		if (record.type != PLOG_RECORD_ENTRY && record.type != PLOG_RECORD_STAGE &&
			record.type != PLOG_RECORD_REPAIRED)
			continue;
		first = record.slot < first ? record.slot : first;
		last = record.slot > last ? record.slot : last;
	}
	markers = segment_file_markers(&file, &newest);
	printf("%10" PRIu64 "  %10" PRIu64 "  %8" PRIu64 "  %7" PRIu32 "  ", file.size,
		   offset - file.header.data_offset, records, markers);
	if (last > 0)
		printf("%" PRIu64 " to %" PRIu64, first, last);
	else
		printf("none");
	good = !ends_early(&file, link, offset) && file.copy_good[0] && file.copy_good[1];
	printf("%s%s%s\n", link->in_chain ? "" : "; not of the log",
		   file.copy_good[0] && file.copy_good[1] ? "" : "; one copy of its header is bad",
		   ends_early(&file, link, offset) ? "; a record is bad" : "");
	segment_file_free(&file);
	return good || !link->in_chain;
}

static int run_list(const char *directory)
{
	struct segment_numbers numbers;
	struct chain_link *links;
	bool good = list_metadata(directory);

	segment_numbers_list(&numbers, directory);
	links = find_chain(directory, &numbers);
	printf("\nsegment                 size        used   records  markers  slots\n");
	for (size_t i = 0; i < numbers.count; i++)
		good = list_segment(directory, numbers.numbers[i], &links[i]) && good;
	free(links);
	free(numbers.numbers);
	return good ? EXIT_GOOD : EXIT_DAMAGED;
}

/* ---------------------------------------------------------------- verify */

/* Reads every entry; how many could not be. */
static uint64_t read_all(struct plog *log, const struct plog_state *state)
{
	uint64_t bad = 0;

	for (uint64_t slot = state->paxos.first_slot; slot <= state->paxos.end; slot++)
	{
		struct paxos_entry entry;
		struct plog_error error;
		const char *what = "";
		enum plog_code code = plog_read(log, slot, &entry, &error);

		if (code == PLOG_CORRUPT)
			printf("DAMAGED: %s\n", error.message);
		else if (code != PLOG_OK)
			complain("%s", error.message);
		else if (entry_check(&entry, &what) != DECODE_OK)
			printf("DAMAGED: the entry of slot %" PRIu64 " can't be applied: %s\n", slot, what);
		else
		{
			plog_release_reads(log);
			continue;
		}
		bad++;
		plog_release_reads(log);
	}
	return bad;
}

/* D7: what the other nodes can put back. */
static void print_holes(const struct plog *log, const struct paxos_holes *holes)
{
	for (uint32_t i = 0; i < holes->n; i++)
	{
		char place[PLOG_PLACE_MAX] = "";

		plog_place(log, holes->at[i].first, place);
		printf("lost           slots %" PRIu64 " to %" PRIu64 " (%s); the others know what they held\n",
			   holes->at[i].first, holes->at[i].last, place);
	}
	if (holes->n > 0)
		printf("               all else is whole through slot %" PRIu64 "\n", holes->end);
}

static void print_state(const struct plog_state *state)
{
	const struct paxos_durable_state *paxos = &state->paxos;

	printf("slots          %" PRIu64 " to %" PRIu64 ", accepted ballot ", paxos->first_slot, paxos->end);
	explain_ballot(stdout, paxos->accepted);
	printf("\npromise        ");
	explain_ballot(stdout, paxos->promise);
	printf("\n");
	if (state->tail_bytes_cut > 0)
		printf("torn tail      %" PRIu64 " bytes, never acknowledged; the next start cuts them off\n",
			   state->tail_bytes_cut);
	if (!paxos->damage.damaged)
		return;
	printf("DAMAGED: %s%s, whole through slot %" PRIu64 "; behind that slots from %" PRIu64
		   " on were written, up to slot %" PRIu64 " at ballot ",
		   state->damage_place, paxos->damage.doubtful ? " (or torn: its sync may not have completed)" : "",
		   paxos->end, paxos->damage.lowest_written, paxos->damage.named_slot);
	explain_ballot(stdout, paxos->damage.named_ballot);
	printf("\n");
}

/* A start over an overlay of its own. */
struct start
{
	struct overlay *overlay;
	struct plog *log;
	struct plog_state state;
	struct plog_error error;
	enum plog_code code;
};

static void try_start(struct start *start, const char *directory)
{
	const struct plog_options options = {.segment_bytes = PLOG_SEGMENT_MIN, .cache_bytes = 0};
	const struct paxos_id unused = {{0}};

	memset(start, 0, sizeof *start);
	start->overlay = overlay_make();
	if (start->overlay == NULL)
		complain("out of memory");
	start->code = plog_open(&start->log, directory, overlay_ops(start->overlay), &options, &unused,
							&start->state, &start->error);
}

static void end_start(struct start *start)
{
	if (start->code == PLOG_OK)
		plog_close(start->log);
	overlay_free(start->overlay);
}

static bool is_whole(const struct start *start)
{
	return start->code == PLOG_OK && !start->state.paxos.damage.damaged;
}

static int run_verify(const char *directory, bool in_use)
{
	const struct timespec pause = {0, IN_USE_PAUSE_MS * 1000000L};
	static struct start start;
	uint64_t bad;
	bool whole;

	try_start(&start, directory);
	/* A sync under way, of which one half was read before it and the other after it, looks like damage; that stays. */
	for (int tries = 1; in_use && !is_whole(&start) && tries < IN_USE_TRIES; tries++)
	{
		end_start(&start);
		nanosleep(&pause, NULL);
		try_start(&start, directory);
	}
	if (start.code == PLOG_CORRUPT)
	{
		printf("DAMAGED: %s; no start is possible\n", start.error.message);
		end_start(&start);
		return EXIT_DAMAGED;
	}
	if (start.code != PLOG_OK)
		complain("%s", start.error.message);
	print_state(&start.state);
	print_holes(start.log, &start.state.paxos.holes);
	bad = read_all(start.log, &start.state);
	whole = bad == 0 && is_whole(&start);
	printf("%s\n", whole ? "the log is whole" : "the log is damaged");
	end_start(&start);
	return whole ? EXIT_GOOD : EXIT_DAMAGED;
}

/* ---------------------------------------------------------------- show */

static bool wanted(const struct plog_record *record, uint64_t first, uint64_t last)
{
	bool entry = record->type == PLOG_RECORD_ENTRY || record->type == PLOG_RECORD_STAGE ||
				 record->type == PLOG_RECORD_REPAIRED;

	return (first == 0 && last == UINT64_MAX) || (entry && record->slot >= first && record->slot <= last);
}

/* Whether its records reach as far as they should. */
static bool show_segment(const char *directory, uint64_t number, const struct chain_link *link,
						 uint64_t first, uint64_t last)
{
	struct segment_file file;
	struct plog_record record;
	const uint8_t *bytes;
	uint64_t offset, place;
	bool good;

	segment_file_read(&file, directory, number);
	good = segment_file_usable(&file);
	if (!good)
		printf("segment.%016" PRIx64 ": its header is bad or not known\n", number);
	else
	{
		place = offset = file.header.data_offset;
		while ((bytes = segment_file_next(&file, link->limit, &offset, &record)) != NULL)
		{
			if (wanted(&record, first, last))
			{
				printf("segment.%016" PRIx64 ":%-9" PRIu64 "  ", number, place);
				explain_record(stdout, &record, bytes);
				putchar('\n');
			}
			place = offset;
		}
		good = !ends_early(&file, link, offset);
		if (!good)
			printf("segment.%016" PRIx64 ":%-9" PRIu64 "  a record is bad\n", number, offset);
	}
	segment_file_free(&file);
	return good;
}

static int run_show(const char *directory, uint64_t first, uint64_t last)
{
	struct segment_numbers numbers;
	struct chain_link *links;
	bool good = true;

	segment_numbers_list(&numbers, directory);
	links = find_chain(directory, &numbers);
	for (size_t i = 0; i < numbers.count; i++)
	{
		if (links[i].in_chain)
			good = show_segment(directory, numbers.numbers[i], &links[i], first, last) && good;
	}
	free(links);
	free(numbers.numbers);
	return good ? EXIT_GOOD : EXIT_DAMAGED;
}

/* ---------------------------------------------------------------- the command line */

static uint64_t slot_argument(const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || text[0] == '-' || value == 0)
		complain("\"%s\" is not a slot; slots are whole numbers from 1", text);
	return value;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	uint64_t first = 0, last = UINT64_MAX;
	bool in_use;

	if (strcmp(command, "--help") == 0 || strcmp(command, "-?") == 0)
	{
		fputs(usage, stdout);
		return EXIT_GOOD;
	}
	if (argc < 3 || argc > (strcmp(command, "show") == 0 ? 5 : 3))
	{
		fputs(usage, stderr);
		return EXIT_TROUBLE;
	}
	in_use = check_directory(argv[2]);
	if (strcmp(command, "list") == 0)
		return run_list(argv[2]);
	if (strcmp(command, "verify") == 0)
		return run_verify(argv[2], in_use);
	if (strcmp(command, "show") != 0)
		complain("there is no command \"%s\"; --help lists them", command);
	if (argc > 3)
		first = slot_argument(argv[3]);
	if (argc == 4)
		last = first;
	else if (argc == 5)
		last = slot_argument(argv[4]);
	return run_show(argv[2], first, last);
}
