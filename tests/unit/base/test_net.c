#include "runtime/base/net.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/buf.h"

#define WAIT_MS 20000

/* One end of a connection: what it got, and how it ended. */
struct end {
    struct tr_stream *stream;
    struct tr_buf got;
    size_t reads;
    enum tr_code over; /* TR_OK while reading */
    char over_text[TR_ERR_MSG_MAX];
    bool is_closed;
    bool close_at_read;
};

struct net {
    struct tr_loop *loop;
    struct tr_listener *listener;
    struct tr_connect connect;
    bool has_connected;
    struct end client;
    struct end server;
    unsigned accepted;
    bool close_listener_at_accept;
    char unix_path[64];
};

static void on_closed(void *ctx)
{
    struct end *end = ctx;
    assert_false(end->is_closed);
    end->is_closed = true;
}

static void end_close(struct end *end)
{
    tr_stream_close(end->stream, on_closed, end);
    end->stream = NULL;
}

static void on_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct end *end = ctx;
    assert_int_equal(end->over, TR_OK);
    end->reads++;
    if (err != NULL) {
        assert_int_equal(bytes.len, 0);
        end->over = err->code;
        (void)snprintf(end->over_text, sizeof(end->over_text), "%s", err->msg);
        return;
    }
    assert_true(bytes.len > 0);
    assert_true(bytes.len <= TR_NET_READ_BYTES);
    tr_buf_add(&end->got, bytes);
    if (end->close_at_read) {
        end_close(end);
    }
}

static void on_accept(void *ctx, struct tr_stream *stream)
{
    struct net *net = ctx;
    net->accepted++;
    if (net->server.stream != NULL) {
        tr_stream_close(stream, NULL, NULL);
        return;
    }
    net->server.stream = stream;
    if (net->close_listener_at_accept) {
        tr_listener_close(&net->listener);
    }
}

static void on_connect(struct tr_connect *connect)
{
    struct net *net = TR_CONTAINER_OF(connect, struct net, connect);
    assert_false(net->has_connected);
    net->has_connected = true;
    net->client.stream = connect->stream;
}

static int set_up(void **state)
{
    struct net *net = tr_xzalloc(sizeof(*net));
    net->loop = tr_loop_new();
    net->connect.cb = on_connect;
    *state = net;
    return 0;
}

static int tear_down(void **state)
{
    struct net *net = *state;
    if (net->client.stream != NULL) {
        end_close(&net->client);
    }
    if (net->server.stream != NULL) {
        end_close(&net->server);
    }
    tr_listener_close(&net->listener);
    tr_loop_free(&net->loop);
    tr_buf_fini(&net->client.got);
    tr_buf_fini(&net->server.got);
    free(net);
    return 0;
}

static void wait_for(struct net *net, bool (*done)(void *ctx), void *ctx)
{
    assert_true(tr_loop_run_until(net->loop, done, ctx, WAIT_MS));
}

static bool both_are_connected(void *ctx)
{
    const struct net *net = ctx;
    return net->has_connected && (net->connect.err.code != TR_OK || net->server.stream != NULL);
}

static bool has_connected(void *ctx)
{
    return ((struct net *)ctx)->has_connected;
}

static bool is_over(void *ctx)
{
    return ((struct end *)ctx)->over != TR_OK;
}

static bool is_closed(void *ctx)
{
    return ((struct end *)ctx)->is_closed;
}

static void listen_on(struct net *net, const char *host)
{
    struct tr_err err;
    assert_int_equal(tr_listen_tcp(net->loop, host, 0, on_accept, net, &net->listener, &err),
                     TR_OK);
    assert_int_not_equal(tr_listener_port(net->listener), 0);
}

static void dial(struct net *net, const char *host)
{
    net->connect.host = tr_slice_str(host);
    net->connect.port = tr_listener_port(net->listener);
    tr_connect_start(net->loop, &net->connect);
    assert_false(net->has_connected);
    wait_for(net, both_are_connected, net);
}

static void link_up(struct net *net)
{
    listen_on(net, "127.0.0.1");
    dial(net, "127.0.0.1");
    assert_int_equal(net->connect.err.code, TR_OK);
    tr_stream_read_start(net->client.stream, on_read, &net->client);
    tr_stream_read_start(net->server.stream, on_read, &net->server);
}

struct sent {
    struct tr_write write;
    struct tr_slice slice;
    unsigned done;
    struct end *close_at_done;
};

static void on_sent(struct tr_write *write)
{
    struct sent *sent = TR_CONTAINER_OF(write, struct sent, write);
    sent->done++;
    if (sent->close_at_done != NULL) {
        end_close(sent->close_at_done);
    }
}

static bool is_sent(void *ctx)
{
    return ((struct sent *)ctx)->done > 0;
}

static void send_bytes(struct tr_stream *stream, struct sent *sent, struct tr_slice bytes)
{
    sent->slice = bytes;
    sent->write.slices = &sent->slice;
    sent->write.slices_len = 1;
    sent->write.cb = on_sent;
    const unsigned before = sent->done;
    tr_write_start(stream, &sent->write);
    assert_int_equal(sent->done, before);
}

struct goal {
    struct end *end;
    size_t bytes;
};

static bool has_got(void *ctx)
{
    const struct goal *goal = ctx;
    return goal->end->got.len >= goal->bytes;
}

static void wait_for_bytes(struct net *net, struct end *end, size_t bytes)
{
    struct goal goal = { .end = end, .bytes = bytes };
    wait_for(net, has_got, &goal);
    assert_int_equal(end->got.len, bytes);
}

/* Bytes that show where they come from. */
static struct tr_slice pattern(size_t bytes)
{
    char *ptr = tr_xalloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        ptr[i] = (char)(i * 31 + i / 256);
    }
    return tr_slice(ptr, bytes);
}

/* --- connecting ------------------------------------------------------------------------------- */

static void talk_both_ways(struct net *net)
{
    assert_int_equal(net->connect.err.code, TR_OK);
    tr_stream_read_start(net->client.stream, on_read, &net->client);
    tr_stream_read_start(net->server.stream, on_read, &net->server);
    struct sent hello = { .done = 0 }, answer = { .done = 0 };
    send_bytes(net->client.stream, &hello, TR_SLICE_LIT("hello"));
    wait_for_bytes(net, &net->server, 5);
    send_bytes(net->server.stream, &answer, TR_SLICE_LIT("answer"));
    wait_for_bytes(net, &net->client, 6);
    assert_memory_equal(net->server.got.ptr, "hello", 5);
    assert_memory_equal(net->client.got.ptr, "answer", 6);
    assert_int_equal(hello.done, 1);
    assert_int_equal(hello.write.err.code, TR_OK);
}

static void both_ends_talk_over_ipv4(void **state)
{
    struct net *net = *state;
    listen_on(net, "127.0.0.1");
    dial(net, "127.0.0.1");
    talk_both_ways(net);
    char text[TR_NET_ADDRESS_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", tr_listener_port(net->listener));
    assert_string_equal(tr_stream_peer(net->client.stream), text);
    assert_string_equal(tr_stream_local(net->server.stream), text);
    assert_string_equal(tr_stream_local(net->client.stream), tr_stream_peer(net->server.stream));
}

static void both_ends_talk_over_ipv6(void **state)
{
    struct net *net = *state;
    struct tr_err err;
    if (tr_listen_tcp(net->loop, "[::1]", 0, on_accept, net, &net->listener, &err) != TR_OK) {
        skip(); /* a machine without IPv6 */
    }
    dial(net, "::1");
    talk_both_ways(net);
    char text[TR_NET_ADDRESS_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "[::1]:%u", tr_listener_port(net->listener));
    assert_string_equal(tr_stream_peer(net->client.stream), text);
}

static void a_listener_on_all_interfaces_takes_ipv4_and_shows_it_so(void **state)
{
    struct net *net = *state;
    listen_on(net, "");
    dial(net, "127.0.0.1");
    talk_both_ways(net);
    assert_memory_equal(tr_stream_peer(net->server.stream), "127.0.0.1:", 10);
}

static void a_name_is_looked_up(void **state)
{
    struct net *net = *state;
    listen_on(net, "localhost");
    dial(net, "localhost");
    talk_both_ways(net);
}

static void both_ends_talk_over_a_unix_socket(void **state)
{
    struct net *net = *state;
    struct tr_err err;
    (void)snprintf(net->unix_path, sizeof(net->unix_path), "/tmp/tr_test_net_%d.sock",
                   (int)getpid());
    assert_int_equal(
        tr_listen_unix(net->loop, net->unix_path, on_accept, net, &net->listener, &err), TR_OK);
    net->connect.unix_path = tr_slice_str(net->unix_path);
    tr_connect_start(net->loop, &net->connect);
    wait_for(net, both_are_connected, net);
    talk_both_ways(net);
    assert_string_equal(tr_stream_peer(net->server.stream), "");
    assert_true(tr_stream_is_unix(net->client.stream));
    struct tr_listener *second = NULL;
    assert_int_equal(tr_listen_unix(net->loop, net->unix_path, on_accept, net, &second, &err),
                     TR_EXISTS);
    tr_listener_close(&net->listener);
    assert_int_equal(access(net->unix_path, F_OK), -1);
}

static void a_refused_connection_says_so_as_go_does(void **state)
{
    struct net *net = *state;
    listen_on(net, "127.0.0.1");
    const uint16_t port = tr_listener_port(net->listener);
    tr_listener_close(&net->listener);
    net->connect.host = TR_SLICE_LIT("127.0.0.1");
    net->connect.port = port;
    tr_connect_start(net->loop, &net->connect);
    wait_for(net, has_connected, net);
    char text[128];
    (void)snprintf(text, sizeof(text), "dial tcp 127.0.0.1:%u: connect: connection refused", port);
    assert_int_equal(net->connect.err.code, TR_UNAVAILABLE);
    assert_string_equal(net->connect.err.msg, text);
    assert_null(net->connect.stream);
}

static void a_unix_socket_left_over_by_a_dead_process_makes_way_and_a_file_does_not(void **state)
{
    struct net *net = *state;
    struct tr_err err;
    (void)snprintf(net->unix_path, sizeof(net->unix_path), "/tmp/tr_test_net_%d.sock",
                   (int)getpid());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, net->unix_path, strlen(net->unix_path) + 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(close(fd),
                     0); /* as the system does for a process that was killed: the file stays */
    assert_int_equal(
        tr_listen_unix(net->loop, net->unix_path, on_accept, net, &net->listener, &err), TR_OK);
    tr_listener_close(&net->listener);

    FILE *file = fopen(net->unix_path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(
        tr_listen_unix(net->loop, net->unix_path, on_accept, net, &net->listener, &err), TR_EXISTS);
    assert_int_equal(unlink(net->unix_path), 0);
}

static void a_unix_socket_that_is_not_there_is_unavailable(void **state)
{
    struct net *net = *state;
    net->connect.unix_path = TR_SLICE_LIT("/tmp/tr_test_net_nothing_here.sock");
    tr_connect_start(net->loop, &net->connect);
    wait_for(net, has_connected, net);
    assert_int_equal(net->connect.err.code, TR_UNAVAILABLE);
}

static void a_name_that_cannot_be_looked_up_is_an_error(void **state)
{
    struct net *net = *state;
    net->connect.host = TR_SLICE_LIT("no-such-host.invalid");
    net->connect.port = 1;
    tr_connect_start(net->loop, &net->connect);
    wait_for(net, has_connected, net);
    /* Without any name server the system says "try again" instead. */
    assert_true(net->connect.err.code == TR_NOT_FOUND || net->connect.err.code == TR_UNAVAILABLE);
    assert_memory_equal(net->connect.err.msg, "dial tcp: lookup no-such-host.invalid: ", 39);
}

static void connect_with_bad_input_fails_through_the_callback(void **state)
{
    struct net *net = *state;
    net->connect.host = TR_SLICE_LIT("");
    tr_connect_start(net->loop, &net->connect);
    assert_false(net->has_connected);
    wait_for(net, has_connected, net);
    assert_int_equal(net->connect.err.code, TR_INVALID);
}

static void connect_canceled_calls_back_once_with_canceled(void **state)
{
    struct net *net = *state;
    listen_on(net, "127.0.0.1");
    net->connect.host = TR_SLICE_LIT("127.0.0.1");
    net->connect.port = tr_listener_port(net->listener);
    tr_connect_start(net->loop, &net->connect);
    tr_connect_cancel(&net->connect);
    tr_connect_cancel(&net->connect); /* too late, and harmless */
    assert_false(net->has_connected);
    wait_for(net, has_connected, net);
    assert_int_equal(net->connect.err.code, TR_CANCELED);
    assert_null(net->connect.stream);
}

static void connect_canceled_while_the_name_is_looked_up_calls_back(void **state)
{
    struct net *net = *state;
    net->connect.host = TR_SLICE_LIT("localhost");
    net->connect.port = 1;
    tr_connect_start(net->loop, &net->connect);
    tr_connect_cancel(&net->connect);
    wait_for(net, has_connected, net);
    assert_int_equal(net->connect.err.code, TR_CANCELED);
}

/* A port that neither accepts nor refuses: its backlog is full, and Linux drops what comes on top.
 */
struct deaf_port {
    int listener;
    int fillers[8];
    uint16_t port;
};

static void deaf_port_open(struct deaf_port *deaf)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(addr);
    deaf->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(deaf->listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(deaf->listener, 0), 0);
    assert_int_equal(getsockname(deaf->listener, (struct sockaddr *)&addr, &len), 0);
    deaf->port = ntohs(addr.sin_port);
    for (size_t i = 0; i < 8; i++) {
        deaf->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(deaf->fillers[i], (struct sockaddr *)&addr, len);
    }
}

static void deaf_port_close(struct deaf_port *deaf)
{
    for (size_t i = 0; i < 8; i++) {
        close(deaf->fillers[i]);
    }
    close(deaf->listener);
}

static void connect_ends_at_its_deadline(void **state)
{
    struct net *net = *state;
    struct deaf_port deaf;
    deaf_port_open(&deaf);
    net->connect.host = TR_SLICE_LIT("127.0.0.1");
    net->connect.port = deaf.port;
    net->connect.deadline_ms = tr_loop_now_ms(net->loop) + 20;
    tr_connect_start(net->loop, &net->connect);
    wait_for(net, has_connected, net);
    assert_int_equal(net->connect.err.code, TR_DEADLINE);
    assert_non_null(strstr(net->connect.err.msg, ": i/o timeout"));
    deaf_port_close(&deaf);
}

/* --- listening -------------------------------------------------------------------------------- */

static void listening_on_a_taken_port_or_a_name_is_an_error(void **state)
{
    struct net *net = *state;
    listen_on(net, "127.0.0.1");
    struct tr_listener *second = NULL;
    struct tr_err err;
    const uint16_t port = tr_listener_port(net->listener);
    assert_int_equal(tr_listen_tcp(net->loop, "127.0.0.1", port, on_accept, net, &second, &err),
                     TR_EXISTS);
    assert_non_null(strstr(err.msg, "bind: address already in use"));
    assert_int_equal(tr_listen_tcp(net->loop, "example.com", 0, on_accept, net, &second, &err),
                     TR_INVALID);
    assert_null(second);
}

static void a_listener_may_be_closed_from_its_own_callback(void **state)
{
    struct net *net = *state;
    net->close_listener_at_accept = true;
    listen_on(net, "127.0.0.1");
    dial(net, "127.0.0.1");
    assert_null(net->listener);
    talk_both_ways(net);
}

static void clients_wait_while_descriptors_are_out_and_are_served_later(void **state)
{
    struct net *net = *state;
    listen_on(net, "127.0.0.1");
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons(tr_listener_port(net->listener)) };
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3; /* every number below is taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
    for (int i = 0; i < 10; i++) {
        tr_loop_turn(net->loop);
    }
    assert_int_equal(net->accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    net->has_connected = true;
    wait_for(net, both_are_connected, net);
    assert_int_equal(net->accepted, 1);
    close(client);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void a_large_write_waits_for_the_reader_and_arrives_whole(void **state)
{
    struct net *net = *state;
    enum { BYTES = 16 << 20 };
    link_up(net);
    tr_stream_read_stop(net->server.stream);
    const struct tr_slice bytes = pattern(BYTES);
    struct sent sent = { .done = 0 };
    send_bytes(net->client.stream, &sent, bytes);
    for (int i = 0; i < 10; i++) {
        tr_loop_turn(net->loop);
    }
    assert_int_equal(sent.done, 0);
    assert_true(tr_stream_pending(net->client.stream) > 0);
    assert_int_equal(net->server.got.len, 0);
    tr_stream_read_start(net->server.stream, on_read, &net->server);
    wait_for_bytes(net, &net->server, BYTES);
    wait_for(net, is_sent, &sent);
    assert_int_equal(sent.write.err.code, TR_OK);
    assert_int_equal(tr_stream_pending(net->client.stream), 0);
    assert_memory_equal(net->server.got.ptr, bytes.ptr, BYTES);
    free((void *)(uintptr_t)bytes.ptr);
}

static void many_writes_of_odd_sizes_keep_their_order(void **state)
{
    struct net *net = *state;
    enum { WRITES = 600, SLICES = 7 };
    link_up(net);
    const struct tr_slice bytes = pattern(5 << 20);
    static struct tr_slice slices[WRITES][SLICES];
    static struct sent sents[WRITES];
    memset(sents, 0, sizeof(sents));
    size_t at = 0;
    for (size_t i = 0; i < WRITES; i++) {
        sents[i].write.cb = on_sent;
        sents[i].write.slices = slices[i];
        sents[i].write.slices_len = i % 50 == 0 ? 0 : SLICES;
        for (size_t k = 0; k < sents[i].write.slices_len; k++) {
            const size_t len = (i * 37 + k * 101) % 1500; /* some are empty */
            slices[i][k] = tr_slice(bytes.ptr + at, len);
            at += len;
        }
        tr_write_start(net->client.stream, &sents[i].write);
    }
    wait_for_bytes(net, &net->server, at);
    wait_for(net, is_sent, &sents[WRITES - 1]);
    for (size_t i = 0; i < WRITES; i++) {
        assert_int_equal(sents[i].done, 1);
        assert_int_equal(sents[i].write.err.code, TR_OK);
    }
    assert_memory_equal(net->server.got.ptr, bytes.ptr, at);
    free((void *)(uintptr_t)bytes.ptr);
}

static void a_write_beyond_the_limit_is_refused_and_the_rest_arrives(void **state)
{
    struct net *net = *state;
    enum { BYTES = 16 << 20 };
    link_up(net);
    tr_stream_read_stop(net->server.stream);
    tr_stream_pending_max_set(net->client.stream, 1000);
    const struct tr_slice bytes = pattern(BYTES);
    struct sent first = { .done = 0 }, refused = { .done = 0 };
    send_bytes(net->client.stream, &first,
               bytes); /* larger than the limit, but nothing was waiting */
    const size_t waiting = tr_stream_pending(net->client.stream);
    assert_true(waiting > 1000);
    send_bytes(net->client.stream, &refused, TR_SLICE_LIT("x"));
    wait_for(net, is_sent, &refused);
    assert_int_equal(refused.write.err.code, TR_LIMIT);
    assert_int_equal(first.done, 0);
    tr_stream_read_start(net->server.stream, on_read, &net->server);
    wait_for_bytes(net, &net->server, BYTES);
    free((void *)(uintptr_t)bytes.ptr);
}

static void try_write_takes_what_fits_and_nothing_while_writes_wait(void **state)
{
    struct net *net = *state;
    enum { BYTES = 16 << 20 };
    link_up(net);
    tr_stream_read_stop(net->server.stream);
    const struct tr_slice small[2] = { TR_SLICE_LIT("ab"), TR_SLICE_LIT("c") };
    assert_int_equal(tr_stream_try_write(net->client.stream, small, 2), 3);
    const struct tr_slice bytes = pattern(BYTES);
    const size_t n = tr_stream_try_write(net->client.stream, &bytes, 1);
    assert_true(n > 0);
    assert_true(n < BYTES);
    struct sent rest = { .done = 0 };
    send_bytes(net->client.stream, &rest, tr_slice_skip(bytes, n));
    assert_int_equal(tr_stream_try_write(net->client.stream, small, 2), 0);
    tr_stream_read_start(net->server.stream, on_read, &net->server);
    wait_for_bytes(net, &net->server, BYTES + 3);
    assert_memory_equal(net->server.got.ptr, "abc", 3);
    assert_memory_equal(net->server.got.ptr + 3, bytes.ptr, BYTES);
    free((void *)(uintptr_t)bytes.ptr);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void half_close_ends_one_direction_after_the_last_write(void **state)
{
    struct net *net = *state;
    enum { BYTES = 4 << 20 };
    link_up(net);
    const struct tr_slice bytes = pattern(BYTES);
    struct sent request = { .done = 0 }, late = { .done = 0 }, answer = { .done = 0 };
    send_bytes(net->client.stream, &request, bytes);
    tr_stream_shutdown(net->client.stream);
    send_bytes(net->client.stream, &late, TR_SLICE_LIT("late"));
    wait_for(net, is_over, &net->server);
    assert_int_equal(net->server.over, TR_EOF);
    assert_int_equal(net->server.got.len, BYTES);
    assert_int_equal(late.write.err.code, TR_CLOSED);
    send_bytes(net->server.stream, &answer, TR_SLICE_LIT("still here"));
    wait_for_bytes(net, &net->client, 10);
    free((void *)(uintptr_t)bytes.ptr);
}

static void a_reset_ends_reading_and_fails_writing(void **state)
{
    struct net *net = *state;
    link_up(net);
    tr_stream_close_reset(net->server.stream, on_closed, &net->server);
    net->server.stream = NULL;
    wait_for(net, is_over, &net->client);
    assert_int_equal(net->client.over, TR_IO);
    assert_string_equal(net->client.over_text, "read: connection reset by peer");
    struct sent sent = { .done = 0 }, later = { .done = 0 };
    send_bytes(net->client.stream, &sent, TR_SLICE_LIT("anyone"));
    send_bytes(net->client.stream, &later, TR_SLICE_LIT("there"));
    wait_for(net, is_sent, &later);
    assert_int_equal(sent.write.err.code, TR_IO);
    assert_string_equal(sent.write.err.msg, "write: broken pipe");
    assert_int_equal(later.write.err.code, TR_IO);
}

static void close_returns_waiting_writes_and_then_calls_back(void **state)
{
    struct net *net = *state;
    enum { BYTES = 16 << 20 };
    link_up(net);
    tr_stream_read_stop(net->server.stream);
    const struct tr_slice bytes = pattern(BYTES);
    struct sent first = { .done = 0 }, second = { .done = 0 };
    send_bytes(net->client.stream, &first, bytes);
    send_bytes(net->client.stream, &second, TR_SLICE_LIT("x"));
    end_close(&net->client);
    assert_int_equal(first.done, 0);
    wait_for(net, is_closed, &net->client);
    assert_int_equal(first.done, 1);
    assert_int_equal(second.done, 1);
    assert_int_equal(first.write.err.code, TR_CANCELED);
    assert_int_equal(second.write.err.code, TR_CANCELED);
    free((void *)(uintptr_t)bytes.ptr);
}

static void a_stream_may_be_closed_while_it_reads(void **state)
{
    struct net *net = *state;
    link_up(net);
    net->server.close_at_read = true;
    const struct tr_slice bytes = pattern(1 << 20);
    struct sent sent = { .done = 0 };
    send_bytes(net->client.stream, &sent, bytes);
    wait_for(net, is_closed, &net->server);
    assert_int_equal(net->server.reads, 1);
    wait_for(net, is_sent, &sent);
    free((void *)(uintptr_t)bytes.ptr);
}

static void a_stream_may_be_closed_when_its_write_is_done(void **state)
{
    struct net *net = *state;
    link_up(net);
    struct sent sent = { .close_at_done = &net->client };
    send_bytes(net->client.stream, &sent, TR_SLICE_LIT("bye"));
    wait_for(net, is_closed, &net->client);
    wait_for(net, is_over, &net->server);
    assert_int_equal(net->server.over, TR_EOF);
    assert_memory_equal(net->server.got.ptr, "bye", 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_ends_talk_over_ipv4),
        TEST(both_ends_talk_over_ipv6),
        TEST(a_listener_on_all_interfaces_takes_ipv4_and_shows_it_so),
        TEST(a_name_is_looked_up),
        TEST(both_ends_talk_over_a_unix_socket),
        TEST(a_refused_connection_says_so_as_go_does),
        TEST(a_unix_socket_left_over_by_a_dead_process_makes_way_and_a_file_does_not),
        TEST(a_unix_socket_that_is_not_there_is_unavailable),
        TEST(a_name_that_cannot_be_looked_up_is_an_error),
        TEST(connect_with_bad_input_fails_through_the_callback),
        TEST(connect_canceled_calls_back_once_with_canceled),
        TEST(connect_canceled_while_the_name_is_looked_up_calls_back),
        TEST(connect_ends_at_its_deadline),
        TEST(listening_on_a_taken_port_or_a_name_is_an_error),
        TEST(a_listener_may_be_closed_from_its_own_callback),
        TEST(clients_wait_while_descriptors_are_out_and_are_served_later),
        TEST(a_large_write_waits_for_the_reader_and_arrives_whole),
        TEST(many_writes_of_odd_sizes_keep_their_order),
        TEST(a_write_beyond_the_limit_is_refused_and_the_rest_arrives),
        TEST(try_write_takes_what_fits_and_nothing_while_writes_wait),
        TEST(half_close_ends_one_direction_after_the_last_write),
        TEST(a_reset_ends_reading_and_fails_writing),
        TEST(close_returns_waiting_writes_and_then_calls_back),
        TEST(a_stream_may_be_closed_while_it_reads),
        TEST(a_stream_may_be_closed_when_its_write_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
