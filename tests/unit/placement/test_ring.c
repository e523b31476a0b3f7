/* The ring against the vectors of the placement specification, section 7, and its rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "placement/ring.h"
#include "placement/ring_hash.h"
#include "runtime/base/buf.h"

static struct tr_ring_host host(const char *name)
{
    return (struct tr_ring_host){ .name = tr_slice_str(name), .app_id = TR_SLICE_LIT("app") };
}

static struct tr_ring *ring_of(const struct tr_ring_host *hosts, size_t len, int64_t factor)
{
    struct tr_ring *ring = NULL;
    struct tr_err err;
    assert_int_equal(tr_ring_new(NULL, hosts, len, factor, &ring, &err), TR_OK);
    return ring;
}

#define A "10.0.0.1:50002"
#define B "10.0.0.2:50002"
#define C "10.0.0.3:50002"

static struct tr_ring *ring_abc(int64_t factor)
{
    const struct tr_ring_host hosts[] = { host(A), host(B), host(C) };
    return ring_of(hosts, 3, factor);
}

static const char *owner(const struct tr_ring *ring, const char *id)
{
    static char name[64];
    const struct tr_ring_host *found = tr_ring_lookup(ring, tr_slice_str(id));
    if (found == NULL) {
        return "nobody";
    }
    (void)snprintf(name, sizeof(name), "%.*s", TR_SLICE_ARG(found->name));
    return name;
}

static void assert_sha256(struct tr_slice bytes, const char *expected)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    (void)SHA256((const unsigned char *)bytes.ptr, bytes.len, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(text, expected);
}

static void hash_gives_the_vectors(void **state)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } vectors[] = {
        { "192.168.1.83:609920", 11414427053803968138u },
        { "192.168.1.83:609921", 6110756290993384529u },
        { "192.168.1.83:609922", 13876541546109691082u },
        { "192.168.1.83:609923", 12165331075625862737u },
        { "192.168.1.83:609924", 9528020266818944582u },
        { "192.168.1.89:623620", 13384490355354205375u },
        { "192.168.1.89:623621", 11281728843146723001u },
        { "192.168.1.89:623622", 694935339057032644u },
        { "", 241225442164632184u },
        { "0", 13878215301362151913u },
        { "a", 1260069880423202611u },
        { "abc", 958453735928201402u },
        { "actor-1", 10015260465285814958u },
        { "actor-2", 2764141328702138918u },
        { "actor-3", 16640079507288646015u },
        { "myactorid", 16879008664447412800u },
        { "12345", 12811928375341230219u },
        { "caf\xc3\xa9", 3681246862502055898u },
        { "10.0.0.1:500020", 7120362376346592644u },
        { "10.0.0.1:500021", 6505922788473134223u },
        { "10.0.0.1:500022", 5797102724971694617u },
        { "10.0.0.1:500029", 878720661516117403u },
        { "10.0.0.1:5000210", 4645312562060714161u },
        { "10.0.0.1:5000299", 8251988567651704418u },
        { "10.0.0.2:500020", 9203486376198907635u },
        { "10.0.0.2:500021", 13641153136638408813u },
        { "10.0.0.2:500022", 15002447652713300714u },
        { "10.0.0.2:5000299", 6289193495808985344u },
        { "10.0.0.3:500020", 7388246905945336152u },
        { "10.0.0.3:500021", 17246124860277091555u },
        { "10.0.0.3:500022", 6155547249188943313u },
        { "10.0.0.3:5000299", 2556590349016221418u },
        { "[2001:db8::1]:500020", 13956257991493299986u },
        { "localhost:500020", 15140622599881933510u },
        { "app-0.svc.ns.svc.cluster.local:500020", 11157278961196156449u },
        { "127.0.0.1:500021", 6669104715685169680u },
        { "k24", 18274355373639787263u },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(vectors); i++) {
        assert_int_equal(tr_ring_hash(tr_slice_str(vectors[i].text)), vectors[i].hash);
    }
    (void)state;
}

static void hash_crosses_the_block_size(void **state)
{
    char text[200];
    (void)memset(text, 'x', sizeof(text));
    assert_int_equal(tr_ring_hash(tr_slice(text, 128)), 6183747054604462856u);
    assert_int_equal(tr_ring_hash(tr_slice(text, 129)), 651030604704590390u);
    assert_int_equal(tr_ring_hash(tr_slice(text, 200)), 12359593013019186836u);
    (void)state;
}

static void three_points_a_host_are_sorted_as_in_the_vectors(void **state)
{
    static const struct {
        uint64_t hash;
        const char *name;
    } points[] = {
        { 5797102724971694617u, A },  { 6155547249188943313u, C },  { 6505922788473134223u, A },
        { 7120362376346592644u, A },  { 7388246905945336152u, C },  { 9203486376198907635u, B },
        { 13641153136638408813u, B }, { 15002447652713300714u, B }, { 17246124860277091555u, C },
    };
    struct tr_ring *ring = ring_abc(3);
    assert_int_equal(tr_ring_points_len(ring), TR_ARRAY_LEN(points));
    for (size_t i = 0; i < TR_ARRAY_LEN(points); i++) {
        const struct tr_ring_host *at;
        assert_int_equal(tr_ring_point_at(ring, i, &at), points[i].hash);
        assert_true(tr_slice_eq_str(at->name, points[i].name));
    }
    tr_ring_unref(&ring);
    (void)state;
}

static void owners_follow_the_vectors(void **state)
{
    static const struct {
        const char *id;
        const char *by_1;
        const char *by_3;
        const char *by_100;
    } vectors[] = {
        { "", A, A, A },          { "a", A, A, B },       { "abc", A, A, A },
        { "actor-1", A, B, A },   { "actor-2", A, A, C }, { "actor-3", A, C, B },
        { "myactorid", A, C, A }, { "12345", A, B, C },   { "caf\xc3\xa9", A, A, C },
        { "0", A, B, B },         { "1", A, B, C },       { "2", A, A, C },
    };
    struct tr_ring *by_1 = ring_abc(1);
    struct tr_ring *by_3 = ring_abc(3);
    struct tr_ring *by_100 = ring_abc(100);
    for (size_t i = 0; i < TR_ARRAY_LEN(vectors); i++) {
        assert_string_equal(owner(by_1, vectors[i].id), vectors[i].by_1);
        assert_string_equal(owner(by_3, vectors[i].id), vectors[i].by_3);
        assert_string_equal(owner(by_100, vectors[i].id), vectors[i].by_100);
    }
    assert_string_equal(owner(by_100, "k24"), C); /* beyond the last point */
    tr_ring_unref(&by_1);
    tr_ring_unref(&by_3);
    tr_ring_unref(&by_100);
    (void)state;
}

static void a_hundred_points_a_host_give_the_known_digest(void **state)
{
    struct tr_ring *ring = ring_abc(100);
    const struct tr_ring_host *at;
    assert_int_equal(tr_ring_points_len(ring), 300);
    assert_int_equal(tr_ring_point_at(ring, 0, &at), 124205688661879367u);
    assert_int_equal(tr_ring_point_at(ring, 299, &at), 18185047526332531417u);
    struct tr_buf bytes = { 0 };
    for (size_t i = 0; i < 300; i++) {
        uint64_t hash = tr_ring_point_at(ring, i, &at);
        for (unsigned b = 0; b < 8; b++) {
            tr_buf_add_char(&bytes, (char)(hash >> (8 * b)));
        }
    }
    assert_sha256(tr_buf_slice(&bytes),
                  "6df330442e5d6d61e380dab6c64540ac6678452cd56957b3e911af797bf3c620");
    tr_buf_fini(&bytes);
    tr_ring_unref(&ring);
    (void)state;
}

static void owners_of_many_actors_give_the_known_digest_and_counts(void **state)
{
    struct tr_ring *ring = ring_abc(100);
    struct tr_buf names = { 0 };
    int count[3] = { 0 };
    for (int i = 0; i < 10000; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "actor-%d", i);
        const char *name = owner(ring, id);
        count[strcmp(name, A) == 0 ? 0 : strcmp(name, B) == 0 ? 1 : 2]++;
        if (i < 1000) {
            tr_buf_addf(&names, "%s\n", name);
        }
    }
    assert_int_equal(count[0], 3432);
    assert_int_equal(count[1], 3318);
    assert_int_equal(count[2], 3250);
    assert_sha256(tr_buf_slice(&names),
                  "1a05c3a36dc9e6dd6cd6a5b26b5d4244c0a21e809c02d4b07dab1a0fdf3b966a");
    tr_buf_fini(&names);
    tr_ring_unref(&ring);
    (void)state;
}

static void a_new_host_takes_keys_and_nothing_else_moves(void **state)
{
    const struct tr_ring_host two[] = { host(A), host(B) };
    struct tr_ring *before = ring_of(two, 2, 100);
    struct tr_ring *after = ring_abc(100);
    int moved = 0;
    for (int i = 0; i < 10000; i++) {
        char id[32];
        char old_owner[64];
        (void)snprintf(id, sizeof(id), "actor-%d", i);
        (void)snprintf(old_owner, sizeof(old_owner), "%s", owner(before, id));
        const char *new_owner = owner(after, id);
        if (strcmp(old_owner, new_owner) != 0) {
            assert_string_equal(new_owner, C);
            moved++;
        }
    }
    assert_int_equal(moved, 3250);
    tr_ring_unref(&before);
    tr_ring_unref(&after);
    (void)state;
}

static void local_hosts_follow_the_vectors(void **state)
{
    const struct tr_ring_host hosts[] = { host("127.0.0.1:3001"), host("127.0.0.1:3002") };
    struct tr_ring *ring = ring_of(hosts, 2, 100);
    static const char *const on_2[] = { "1", "2", "3", "foo" };
    static const char *const on_1[] = { "bar", "test1" };
    for (size_t i = 0; i < TR_ARRAY_LEN(on_2); i++) {
        assert_string_equal(owner(ring, on_2[i]), "127.0.0.1:3002");
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(on_1); i++) {
        assert_string_equal(owner(ring, on_1[i]), "127.0.0.1:3001");
    }
    tr_ring_unref(&ring);
    (void)state;
}

static void the_smaller_name_wins_a_collision_in_any_order(void **state)
{
    /* Virtual node 21 of the first and 1 of the second are both "127.0.0.1:500021". */
    const struct tr_ring_host orders[2][2] = {
        { host("127.0.0.1:5000"), host("127.0.0.1:50002") },
        { host("127.0.0.1:50002"), host("127.0.0.1:5000") },
    };
    for (size_t o = 0; o < 2; o++) {
        struct tr_ring *ring = ring_of(orders[o], 2, 100);
        bool seen = false;
        assert_true(tr_ring_points_len(ring) < 200);
        for (size_t i = 0; i < tr_ring_points_len(ring); i++) {
            const struct tr_ring_host *at;
            if (tr_ring_point_at(ring, i, &at) == 6669104715685169680u) {
                assert_true(tr_slice_eq_str(at->name, "127.0.0.1:5000"));
                seen = true;
            }
        }
        assert_true(seen);
        tr_ring_unref(&ring);
    }
    (void)state;
}

static void a_ring_without_hosts_or_factor_owns_nothing(void **state)
{
    const struct tr_ring_host one = host(A);
    static const int64_t factors[] = { 0, -1, INT64_MIN };
    for (size_t i = 0; i < TR_ARRAY_LEN(factors); i++) {
        struct tr_ring *ring = ring_of(&one, 1, factors[i]);
        assert_string_equal(owner(ring, "a"), "nobody");
        tr_ring_unref(&ring);
    }
    struct tr_ring *ring = ring_of(NULL, 0, 100);
    assert_string_equal(owner(ring, "a"), "nobody");
    tr_ring_unref(&ring);
    (void)state;
}

static void sizes_above_the_limits_are_refused(void **state)
{
    const struct tr_ring_host one = host(A);
    struct tr_ring *ring = NULL;
    struct tr_err err;
    assert_int_equal(tr_ring_new(NULL, &one, 1, TR_RING_FACTOR_MAX + 1, &ring, &err), TR_LIMIT);
    assert_int_equal(tr_ring_new(NULL, &one, 1, INT64_MAX, &ring, &err), TR_LIMIT);
    assert_int_equal(tr_ring_new(NULL, &one, TR_RING_POINTS_MAX / TR_RING_FACTOR_MAX + 1,
                                 TR_RING_FACTOR_MAX, &ring, &err),
                     TR_LIMIT);
    assert_null(ring);
    (void)state;
}

static void of_equal_names_the_last_counts(void **state)
{
    struct tr_ring_host hosts[] = { host(A), host(B), host(A) };
    hosts[2].app_id = TR_SLICE_LIT("other");
    struct tr_ring *ring = ring_of(hosts, 3, 10);
    assert_int_equal(tr_ring_hosts_len(ring), 2);
    assert_int_equal(tr_ring_points_len(ring), 20);
    assert_true(tr_slice_eq_str(tr_ring_host_at(ring, 0)->app_id, "other"));
    tr_ring_unref(&ring);
    (void)state;
}

static void equality_regards_names_ports_apps_and_factor_but_not_order(void **state)
{
    struct tr_ring_host hosts[] = { host(A), host(B) };
    const struct tr_ring_host turned[] = { host(B), host(A) };
    struct tr_ring *ring = ring_of(hosts, 2, 10);
    struct tr_ring *same = ring_of(turned, 2, 10);
    struct tr_ring *factor = ring_of(hosts, 2, 11);
    struct tr_ring *fewer = ring_of(hosts, 1, 10);
    hosts[1].port = 7;
    struct tr_ring *port = ring_of(hosts, 2, 10);
    hosts[1].port = 0;
    hosts[1].app_id = TR_SLICE_LIT("other");
    struct tr_ring *app = ring_of(hosts, 2, 10);
    assert_true(tr_ring_equal(ring, ring));
    assert_true(tr_ring_equal(ring, same));
    assert_false(tr_ring_equal(ring, factor));
    assert_false(tr_ring_equal(ring, fewer));
    assert_false(tr_ring_equal(ring, port));
    assert_false(tr_ring_equal(ring, app));
    tr_ring_unref(&ring);
    tr_ring_unref(&same);
    tr_ring_unref(&factor);
    tr_ring_unref(&fewer);
    tr_ring_unref(&port);
    tr_ring_unref(&app);
    (void)state;
}

static void a_cached_ring_is_the_same_ring(void **state)
{
    struct tr_ring_cache cache = { 0 };
    const struct tr_ring_host hosts[] = { host(A), host(B), host(C) };
    struct tr_err err;
    struct tr_ring *plain = ring_abc(100);
    for (int64_t factor = 1; factor <= 100; factor += 99) { /* another factor empties the cache */
        for (size_t len = 1; len <= 3; len++) {
            struct tr_ring *cached = NULL;
            assert_int_equal(tr_ring_new(&cache, hosts, len, factor, &cached, &err), TR_OK);
            struct tr_ring *fresh = ring_of(hosts, len, factor);
            assert_int_equal(tr_ring_points_len(cached), tr_ring_points_len(fresh));
            for (size_t i = 0; i < tr_ring_points_len(fresh); i++) {
                const struct tr_ring_host *left;
                const struct tr_ring_host *right;
                assert_int_equal(tr_ring_point_at(cached, i, &left),
                                 tr_ring_point_at(fresh, i, &right));
                assert_true(tr_slice_eq(left->name, right->name));
            }
            tr_ring_unref(&cached);
            tr_ring_unref(&fresh);
        }
    }
    assert_int_equal(cache.hosts.len, 3);
    tr_ring_unref(&plain);
    tr_ring_cache_fini(&cache);
    (void)state;
}

static void a_sweep_forgets_hosts_that_no_ring_used(void **state)
{
    struct tr_ring_cache cache = { 0 };
    const struct tr_ring_host hosts[] = { host(A), host(B), host(C) };
    struct tr_err err;
    struct tr_ring *ring = NULL;
    assert_int_equal(tr_ring_new(&cache, hosts, 3, 10, &ring, &err), TR_OK);
    tr_ring_cache_sweep(&cache);
    assert_int_equal(cache.hosts.len, 3);
    tr_ring_unref(&ring);
    assert_int_equal(tr_ring_new(&cache, hosts, 1, 10, &ring, &err), TR_OK);
    tr_ring_cache_sweep(&cache);
    assert_int_equal(cache.hosts.len, 1);
    tr_ring_unref(&ring);
    tr_ring_cache_fini(&cache);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_gives_the_vectors),
        cmocka_unit_test(hash_crosses_the_block_size),
        cmocka_unit_test(three_points_a_host_are_sorted_as_in_the_vectors),
        cmocka_unit_test(owners_follow_the_vectors),
        cmocka_unit_test(a_hundred_points_a_host_give_the_known_digest),
        cmocka_unit_test(owners_of_many_actors_give_the_known_digest_and_counts),
        cmocka_unit_test(a_new_host_takes_keys_and_nothing_else_moves),
        cmocka_unit_test(local_hosts_follow_the_vectors),
        cmocka_unit_test(the_smaller_name_wins_a_collision_in_any_order),
        cmocka_unit_test(a_ring_without_hosts_or_factor_owns_nothing),
        cmocka_unit_test(sizes_above_the_limits_are_refused),
        cmocka_unit_test(of_equal_names_the_last_counts),
        cmocka_unit_test(equality_regards_names_ports_apps_and_factor_but_not_order),
        cmocka_unit_test(a_cached_ring_is_the_same_ring),
        cmocka_unit_test(a_sweep_forgets_hosts_that_no_ring_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
