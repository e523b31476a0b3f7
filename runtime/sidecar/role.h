/* The sidecar as a process: command line, log, runs. */
#ifndef TR_SIDECAR_ROLE_H
#define TR_SIDECAR_ROLE_H

/* Run the process; argv[0] is passed over. Returns the exit status; fatal errors end the process from inside. */
int tr_sidecar_main(int argc, char **argv);

#endif
