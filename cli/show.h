/* Tables that more than one command shows. Private to cli/. */
#ifndef PH_CLI_SHOW_H
#define PH_CLI_SHOW_H

#include "cli/command.h"

void ph_show_nodes(struct ph_cli *cli, const struct ph_node_view_list *nodes);
void ph_show_pools(struct ph_cli *cli, const struct ph_pool_view_list *pools);
void ph_show_jobs(struct ph_cli *cli, const struct ph_job_list *jobs);
/* A line, when automatic action is paused (reason is not empty): above everything else on the screen. */
void ph_show_pause(const struct ph_cli *cli, const char *reason);
/* A plan of moves, with what stands against it. */
void ph_show_plan(struct ph_cli *cli, const struct ph_plan *plan);

/* story.c: events --story. */
int ph_cli_story(struct ph_cli *cli, struct ph_error *error);

/* What nodes have set aside, as a table. */
void ph_show_diverged(struct ph_cli *cli, const struct ph_diverged_view_list *items);

#endif
