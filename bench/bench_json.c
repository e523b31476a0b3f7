/*
 * The JSON scanner: megabytes a second of checking, and of a walk over all members or of escaping, on three texts. The floor
 * is one pass over the bytes that sums them one by one.
 *
 * bench_json [milliseconds for each figure]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/base/json.h"

struct text {
    const char *name;
    struct tr_buf buf;
};

static uint64_t used; /* keeps the compiler from leaving work out */

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- what is measured ----------------------------------------------------------------------------------------------- */

static void sum(struct tr_slice text)
{
    const volatile char *at = text.ptr;
    for (size_t i = 0; i < text.len; i++) {
        used += (unsigned char)at[i];
    }
}

static void check(struct tr_slice text)
{
    struct tr_err err;
    if (tr_json_check(text, NULL, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static void walk(struct tr_slice text)
{
    struct tr_json_iter it = tr_json_iter(text);
    struct tr_slice name;
    struct tr_slice value;
    while (tr_json_type(text) == TR_JSON_OBJECT ? tr_json_next_member(&it, &name, &value) : tr_json_next(&it, &value)) {
        used += value.len;
        if (tr_json_type(value) == TR_JSON_OBJECT || tr_json_type(value) == TR_JSON_ARRAY) {
            walk(value);
        }
    }
}

static void escape(struct tr_slice text)
{
    static struct tr_buf out;
    tr_buf_clear(&out);
    tr_json_add_str(&out, text);
    used += out.len;
}

static double mb_per_s(void (*fn)(struct tr_slice text), const struct tr_buf *buf, double seconds)
{
    const double start = now_s();
    double took = 0;
    size_t bytes = 0;
    while (took < seconds) {
        for (size_t done = 0; done < 1U << 20U; done += buf->len) {
            fn(tr_buf_slice(buf));
            bytes += buf->len;
        }
        took = now_s() - start;
    }
    return (double)bytes / took / 1e6;
}

/* --- texts ---------------------------------------------------------------------------------------------------------- */

/* What an app sends to change its state: small members, some nesting. */
static void fill_transaction(struct tr_buf *buf)
{
    tr_buf_add_char(buf, '[');
    for (unsigned i = 0; i < 10; i++) {
        tr_buf_addf(buf,
                    "%s{\"operation\": \"upsert\", \"request\": {\"key\": \"item-%u\", \"value\": {\"count\": %u, "
                    "\"price\": %u.25, \"name\": \"a thing of use\", \"tags\": [\"a\", \"b\", null, true]}, "
                    "\"metadata\": {\"ttlInSeconds\": \"60\"}}}",
                    i == 0 ? "" : ", ", i, i * 7919, i * 31);
    }
    tr_buf_add_char(buf, ']');
}

static void fill_string(struct tr_buf *buf)
{
    tr_buf_add_char(buf, '"');
    for (unsigned i = 0; i < 1000; i++) {
        tr_buf_add_str(buf, "Some plain text, gr\xc3\xbc\xc3\x9f" "e, and a line end.\\n");
    }
    tr_buf_add_char(buf, '"');
}

static void fill_numbers(struct tr_buf *buf)
{
    tr_buf_add_str(buf, "[0");
    for (unsigned i = 0; i < 5000; i++) {
        tr_buf_addf(buf, ",%u.%u", i * 7919, i);
    }
    tr_buf_add_char(buf, ']');
}

int main(int argc, char **argv)
{
    const double seconds = (argc > 1 ? strtod(argv[1], NULL) : 300) / 1000;
    static struct text texts[] = { { .name = "transaction" }, { .name = "string" }, { .name = "numbers" } };
    fill_transaction(&texts[0].buf);
    fill_string(&texts[1].buf);
    fill_numbers(&texts[2].buf);
    (void)printf("{\"bench\":\"json\",\"unit\":\"MB/s\"");
    for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
        const struct tr_buf *buf = &texts[i].buf;
        (void)printf(",\"%s\":{\"bytes\":%zu,\"floor\":%.0f,\"check\":%.0f", texts[i].name, buf->len,
                     mb_per_s(sum, buf, seconds), mb_per_s(check, buf, seconds));
        if (tr_json_type(tr_buf_slice(buf)) == TR_JSON_STRING) {
            (void)printf(",\"escape\":%.0f}", mb_per_s(escape, buf, seconds));
        } else {
            (void)printf(",\"walk\":%.0f}", mb_per_s(walk, buf, seconds));
        }
    }
    (void)printf(",\"check_sum\":%llu}\n", (unsigned long long)used);
    return 0;
}
