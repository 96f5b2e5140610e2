/*
 * scenario.h - named scenarios: one story each, played over the simulated world in many variations.
 *
 * A scenario has beginnings ("starts"): each brings a quiet world (nothing fails but what the story says) to
 * the place from which its cases branch off.  A case is played in a process forked there, so that the way to
 * it is gone once.  The oracle judges all the time; expect() adds what this story promises.
 *
 *	 scenario_run.c		 the list, playing all cases or one
 *	 scenario_play.c	 the words that stories are told in
 *	 scenario_*.c		 the stories
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim.h"

/* What a case found out; each scenario says which value is what. */
#define MEASURES 6

struct measured
{
	uint64_t values[MEASURES];
};

struct play;

struct scenario
{
	const char *name;
	const char *shows; /* one line */
	bool longer;       /* takes minutes: not among "all" */
	uint32_t n_starts;
	struct world *(*start)(const struct play *play, uint32_t start);
	/* How many cases branch off here; NULL: one. */
	uint64_t (*count)(struct world *w);
	void (*play)(struct world *w, uint64_t which, struct measured *m);
	void (*report)(const struct measured *all, uint64_t n);
};

/* One playing of a scenario. */
struct play
{
	const struct scenario *scenario;
	uint64_t next_case;
	bool trace;
};

/* ---------------------------------------------------------------- scenario_run.c */

/* name: of a scenario, "all", or "list".  one_case: NULL for all of them.  The program's exit code. */
int scenario_run(const char *name, const uint64_t *one_case, bool trace);

/* Plays in a process of its own, from the world as it is; false: something broke there, and was printed. */
bool play_apart(struct world *w, void (*play)(struct world *w, uint64_t which, struct measured *m),
				uint64_t which, struct measured *m);

/* "what: median M, worst W" of one value, in thousandths of a unit. */
void report_distribution(const char *what, const struct measured *all, uint64_t n, int value);
uint64_t measured_sum(const struct measured *all, uint64_t n, int value);
uint64_t measured_most(const struct measured *all, uint64_t n, int value);

/* ---------------------------------------------------------------- scenario_play.c: a world to play in */

/* A configuration in which nothing goes wrong; the seed varies delays of network and disk. */
struct sim_config quiet_config(uint32_t n_nodes, uint64_t seed);
/* That world, formed, with a leader and a session on every node, at rest. */
struct world *quiet_world(const struct play *play, uint64_t seed, const struct sim_config *config);
/* Such a world, another leader and other ballots in each start, and something chosen. */
struct world *led_world(const struct play *play, uint32_t start, const struct sim_config *config);

/* Breaks the case unless it holds. */
#define expect(w, condition, rule, ...)                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
			world_fail((w), (rule), __VA_ARGS__);                                                            \
	} while (0)

/* ---------------------------------------------------------------- ... time */

typedef bool (*condition)(struct world *w, uint64_t argument);

/* Virtual time of that many election timeouts. */
sim_time timeouts(const struct world *w, uint64_t n);
/* Since then, in thousandths of an election timeout. */
uint64_t timeouts_since(const struct world *w, sim_time then);
/* Lets events happen until the condition holds; false: it did not within that many election timeouts. */
bool until(struct world *w, condition met, uint64_t argument, uint64_t n_timeouts);
void pass(struct world *w, uint64_t n_timeouts);

/* ---------------------------------------------------------------- ... what can be waited for */

/* No request under way, a ready leader, a session on every node, all applied, nothing to write or sync. */
bool at_rest(struct world *w, uint64_t unused);
/* The request is answered. */
bool answered(struct world *w, uint64_t request_id);
/* A ready leader that is not that node. */
bool led_by_another(struct world *w, uint64_t node);

/* ---------------------------------------------------------------- ... asking and acting */

/* The ready leader with the highest ballot; 0: none. */
uint32_t leader_of(const struct world *w);
/* A node that is none of these (0: nobody). */
uint32_t other_than(struct world *w, uint32_t a, uint32_t b);
/* Ballots ever taken. */
uint64_t elections(const struct world *w);

/* A client that is free asks that node; at most SIM_CLIENTS are under way at once.  The request's id. */
uint64_t put(struct world *w, uint32_t node);
uint64_t get(struct world *w, uint32_t node);
bool is_done(const struct world *w, uint64_t request_id);
/* A put through that node, acknowledged within so many timeouts. */
void put_done(struct world *w, uint32_t node, uint64_t n_timeouts);

void cut(struct world *w, uint32_t a, uint32_t b);
void isolate(struct world *w, uint32_t node);
/* Another node becomes leader, all else stays well. */
void move_leader(struct world *w);
/* Takes a node off at once, or keeps it off once it dies, until everything_well(). */
void stop_node(struct world *w, uint32_t node, bool power);
void keep_off_once_down(struct world *w, uint32_t node);

/* Links heal, disks are fine, every node starts again. */
void everything_well(struct world *w);
/* ... and then the cluster is whole in time: L1, L4, and every acknowledged put is in every table. */
void expect_recovery(struct world *w);

/* ---------------------------------------------------------------- the stories */

extern const struct scenario scenario_quorum_loss;
extern const struct scenario scenario_constrained;
extern const struct scenario scenario_chained;
extern const struct scenario scenario_one_way;
extern const struct scenario scenario_flapping;
extern const struct scenario scenario_stalled_disk;
extern const struct scenario scenario_frozen_leader;
extern const struct scenario scenario_crash_put;
extern const struct scenario scenario_crash_leader_change;
extern const struct scenario scenario_par;
extern const struct scenario scenario_par_tables;
extern const struct scenario scenario_par_apart;
extern const struct scenario scenario_par3;
extern const struct scenario scenario_sector_loss;
extern const struct scenario scenario_sector_loss_one;
extern const struct scenario scenario_two_copies;
extern const struct scenario scenario_formation;
extern const struct scenario scenario_clock_jumps;
extern const struct scenario scenario_lanes;
extern const struct scenario scenario_late_pull;
extern const struct scenario scenario_late_reply;
extern const struct scenario scenario_all_flights;
extern const struct scenario scenario_many_segments;
extern const struct scenario scenario_away;
extern const struct scenario scenario_away_chained;
extern const struct scenario scenario_trimmed_past;
extern const struct scenario scenario_lost_database;
extern const struct scenario scenario_long_sync;
extern const struct scenario scenario_crash_install;

#endif /* SIM_SCENARIO_H */
