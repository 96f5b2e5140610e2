/*
 * log_model.h - what a log must hold, kept beside a real one: for the log's tests.
 *
 * The model has a snapshot of the whole log after every record (a write of several entries may be there in
 * part).  A recovered log must equal one of them, no older than what was reported durable.
 */
#ifndef LOG_MODEL_H
#define LOG_MODEL_H

#include "log/log.h"

#define MODEL_SLOTS 512
#define MODEL_STEPS 400
#define MODEL_PAYLOAD_MAX 40000

struct model_entry
{
	uint64_t content; /* names the bytes */
	uint32_t length;
	struct paxos_ballot ballot;
};

struct model_log
{
	uint64_t first_slot;
	uint64_t end;
	struct paxos_ballot accepted;
	struct paxos_ballot promise;
	struct model_entry entries[MODEL_SLOTS]; /* by slot */
};

struct model
{
	struct plog *log; /* the real one */
	struct plog_state state;
	struct plog_error error;
	struct plog_options options;
	uint64_t random;
	uint64_t contents; /* handed out */

	struct model_log after[MODEL_STEPS]; /* after record i; 0: as recovered */
	uint64_t step_of[MODEL_STEPS];       /* of write ids: their last step */
	uint64_t id;                         /* of the last write tried */
	uint64_t last;                       /* step */
	uint64_t durable;                    /* step, reported */
	uint64_t trimmed;                    /* highest first slot asked for */
	struct paxos_ballot highest;         /* ballot ever written */
	uint64_t run;
};

/* Fills bytes as the content's name says. */
void model_fill(uint8_t *bytes, uint32_t length, uint64_t content);

struct model *model_new(uint64_t seed, uint64_t segment_bytes, uint64_t cache_bytes);
void model_free(struct model *model);

/* Opens the log; on PLOG_OK nothing is judged yet.  Any open log must have been closed. */
enum plog_code model_open(struct model *model, const struct file_ops *ops);
void model_close(struct model *model);

/* Each does it to the log and, with any outcome, to the model. */
enum plog_code model_append(struct model *model, struct paxos_ballot ballot, uint32_t count, uint32_t length);
enum plog_code model_promise(struct model *model, struct paxos_ballot ballot);
/* STAGE of base + 1 .. end in chunks, then INSTALL; syncs between where "syncs" says. */
enum plog_code model_install(struct model *model, struct paxos_ballot ballot, uint64_t base, uint64_t end,
							 bool syncs);
enum plog_code model_sync(struct model *model);
enum plog_code model_trim(struct model *model, uint64_t first_slot);

/* Some step by the model's seed. */
enum plog_code model_random_step(struct model *model);

/* Whether the log's slots first_slot .. end read as the snapshot says; reads all of them. */
bool model_reads_back(struct model *model, const struct model_log *expected);
/*
 * The recovered log against all snapshots from "durable" on; says on stdout why not.  When it is right the
 * model goes on from there (id 0).
 */
bool model_check_recovered(struct model *model, bool rot);

#endif /* LOG_MODEL_H */
