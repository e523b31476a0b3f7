/*
 * One executable for all roles: by its first word, `troupe sidecar ...`, or by its name, when it is called through a link
 * named after one of the original's binaries.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "placement/role.h"
#include "runtime/base/assert.h"
#include "runtime/base/files.h"
#include "runtime/sidecar/role.h"
#include "runtime/tool/dev.h"

struct role {
    const char *word; /* first argument */
    const char *link; /* or name of the binary; NULL: none */
    int (*run)(int argc, char **argv);
    bool is_server; /* holds many connections, and starts no programs of others */
    const char *help;
};

static const struct role roles[] = {
    { "sidecar", "daprd", tr_sidecar_main, true, "run a sidecar beside an app" },
    { "placement", "placement", tr_placement_main, true, "run the placement service" },
    { "dev", NULL, tr_dev_main, false, "run an app with all it needs: troupe dev -- COMMAND" },
};

static void print_usage(FILE *out)
{
    (void)fprintf(out, "Usage: troupe ROLE [flags]\n\nRoles:\n");
    for (size_t i = 0; i < TR_ARRAY_LEN(roles); i++) {
        (void)fprintf(out, "  %-10s  %s\n", roles[i].word, roles[i].help);
    }
    (void)fprintf(out, "\n`troupe ROLE --help` shows the flags of a role.\n"
                       "Called through a link named daprd or placement it takes the flags of that binary.\n");
}

static int run(const struct role *role, int argc, char **argv)
{
    struct tr_err err;
    if (role->is_server && tr_files_raise(&err) != TR_OK) {
        (void)fprintf(stderr, "troupe: %s\n", err.msg);
        return 1;
    }
    return role->run(argc, argv);
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = argc == 0 ? "" : slash != NULL ? slash + 1 : argv[0];
    for (size_t i = 0; i < TR_ARRAY_LEN(roles); i++) {
        if (roles[i].link != NULL && strcmp(name, roles[i].link) == 0) {
            return run(&roles[i], argc, argv);
        }
    }
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(roles); i++) {
        if (strcmp(argv[1], roles[i].word) == 0) {
            return run(&roles[i], argc - 1, argv + 1);
        }
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        (void)printf("troupe %s\n", TR_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    (void)fprintf(stderr, "troupe: unknown role '%s'\n", argv[1]);
    print_usage(stderr);
    return 2;
}
