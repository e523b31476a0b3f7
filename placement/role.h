/*
 * The placement process: flags, log, gRPC server, placement service, health and metrics endpoints, signals.
 *
 * Source: Dapr cmd/placement/app/app.go; processes.md 1 and 3.
 */
#ifndef TR_PLACEMENT_ROLE_H
#define TR_PLACEMENT_ROLE_H

/*
 * Run the process until SIGINT or SIGTERM; argv[0] is passed over. Returns the exit status: 0 after a graceful stop. A
 * wrong command line and a fatal error end the process from inside, with 2 and 1.
 */
int tr_placement_main(int argc, char **argv);

#endif
