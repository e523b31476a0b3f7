/*
 * `troupe dev [flags] -- COMMAND [ARGS]`: placement, sidecar, an embedded store and the user's app
 * in one command. All processes come from this executable and the user's command; nothing else is
 * installed or running.
 *
 *   MEETING --> SIDECAR --> APP --> READY       waits for: placement, the sidecar, the app
 *      |           |         |        |
 *      +-----------+---------+--------+--> STOP_SIDECAR --> STOP_APP --> STOP_PLACEMENT --> DONE
 *
 * The stop begins with a signal to us (which is passed on), with the end of the app, or when one of
 * the others ends unexpectedly. The sidecar goes first, so that its deactivations still reach the
 * app. A part that does not end in its time, or a second signal, is answered with SIGKILL. If this
 * process is killed itself, its children get SIGTERM from the system.
 *
 * Every `troupe dev` of a user on this machine shares one placement service, so that apps find each
 * other's actors. They meet at one small file, in $XDG_RUNTIME_DIR/troupe or /tmp/troupe-<uid>,
 * which holds two ports:
 *
 *      dev A (owner)                      file, locked by A                  dev B, dev C
 *      +-----------+    flock, write     +--------------------+    read    +--------------+
 *      | placement |<--- A starts it     | port   23456       |<-----------| sidecar of B |---+
 *      | sidecar   |                     | health 27001       |            | sidecar of C |   |
 *      +-----------+                     +--------------------+            +--------------+   |
 *            ^                                                                                |
 *            +--------------------- 127.0.0.1:23456 ------------------------------------------+
 *
 * Who holds the lock runs the placement service. The others try the lock twice a second: the system
 * gives it free when its owner ends, however it ends, and the first to get it starts a new service
 * on the same ports. All sidecars know that address already and connect again; actors move by an
 * ordinary round. An owner that starts when nobody else is there may choose other ports if the old
 * ones are taken; an owner that took over may not, and stops with an error instead.
 *
 * Ports are chosen below the range that systems use for outgoing connections, since a client that
 * tries a free port of that range again and again can end up connected to itself.
 */
#ifndef TR_TOOL_DEV_H
#define TR_TOOL_DEV_H

/*
 * Run the command; argv[0] is passed over. Returns the app's exit status (128 + signal if one ended
 * it); 0 without a command after a signal; 1 if a part failed; 2 after a message and the usage for
 * a wrong command line.
 */
int tr_dev_main(int argc, char **argv);

#endif
