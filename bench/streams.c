/* How even the gaps between tokens are that a server sends to many streams at once, as a client sees them.
 *
 *   cc -O2 -o streams bench/streams.c -lm
 *   prony serve truth --admin-port 8011 --set stream_port=8010 --set stream_itl_ms=50
 *   ./streams 8010 5000 150 50      port, streams, tokens of each, gap in ms
 *
 * The same of `semantic-fixed`, whose streams go through hyper:
 *
 *   prony serve semantic-fixed --port 8010 --admin-port 8011 --set limit_global=0 --set max_batch=10000 \
 *     --set batch_tokens=1000000 --set queue_max=20000 --set budget_mb=1000000 --set prefill_us=0 --set decode_seq_us=0 \
 *     --set decode_base_us=50000 --set send_us=9 --set answer_tokens=400
 *   ./streams 8010 5000 150 50      port, streams, tokens of each, gap in ms
 *
 * It opens every stream at once on 127.0.0.1, reads them in one thread and prints quantiles of |gap - nominal gap|, first from each
 * stream's tenth token on, then of the gaps that lie between the first token of the last stream and the end of the first one, while
 * all streams ran: opening and closing thousands of connections is work that delays the tokens beside it. Two tokens in one read
 * have a gap of nothing between them, and so an error of the whole nominal gap. The server's own account of the same is
 * token_gap_error_ns at the admin port (streams.itl_error_ns of truth). After each look at the sockets it sleeps for 50 microseconds:
 * a client that never sleeps is stopped for 50 ms in every second where it has real-time priority. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 65536, WARMUP = 10, SECONDS_MAX = 120, NAP_NS = 50000 };

struct stream {
    double last;
    int tokens, ended;
};

struct gap {
    double began, ended, error;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double x = ((const struct gap *)a)->error, y = ((const struct gap *)b)->error;
    return (x > y) - (x < y);
}

static void print(const char *which, struct gap *gaps, size_t count) {
    qsort(gaps, count, sizeof *gaps, ascending);
    printf("%s: gaps %zu", which, count);
    if (count)
        printf(" error in ms: p50 %.3f p90 %.3f p99 %.3f p99.9 %.3f max %.3f", gaps[count / 2].error * 1e3, gaps[count * 9 / 10].error * 1e3,
               gaps[count * 99 / 100].error * 1e3, gaps[count * 999 / 1000].error * 1e3, gaps[count - 1].error * 1e3);
    putchar('\n');
}

static int dial(int port, const char *request) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int file = socket(AF_INET, SOCK_STREAM, 0);
    size_t length = strlen(request);
    if (file < 0 || file >= FILES || connect(file, (struct sockaddr *)&to, sizeof to) || write(file, request, length) != (ssize_t)length) {
        perror("streams");
        exit(1);
    }
    return file;
}

static int count(const char *text, const char *what) {
    int found = 0;
    while ((text = strstr(text, what))) {
        found++;
        text++;
    }
    return found;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "streams PORT STREAMS TOKENS GAP_MS\n");
        return 64;
    }
    int port = atoi(argv[1]), streams = atoi(argv[2]), tokens = atoi(argv[3]);
    double gap = atof(argv[4]) / 1000;
    char body[256], request[512], buffer[FILES];
    snprintf(body, sizeof body,
             "{\"model\":\"gemma-3-12b-it\",\"max_tokens\":%d,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
             tokens);
    snprintf(request, sizeof request,
             "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: local-key-1\r\ncontent-type: application/json\r\n"
             "connection: close\r\ncontent-length: %zu\r\n\r\n%s",
             strlen(body), body);
    static struct stream all[FILES];
    struct gap *gaps = malloc(sizeof *gaps * ((size_t)streams * tokens + 1));
    size_t seen = 0, full = 0;
    double all_begun = 0, first_end = INFINITY;
    int poll = epoll_create1(0), open = 0, whole = 0, merged = 0;
    for (; open < streams; open++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = dial(port, request)};
        epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    double begun = now();
    while (open && now() - begun < SECONDS_MAX) {
        struct epoll_event ready[1024];
        int found = epoll_wait(poll, ready, 1024, 1000);
        for (int i = 0; i < found; i++) {
            struct stream *one = &all[ready[i].data.fd];
            ssize_t got = read(ready[i].data.fd, buffer, sizeof buffer - 1);
            if (got <= 0) {
                close(ready[i].data.fd);
                open--;
                whole += one->ended;
                continue;
            }
            buffer[got] = 0;
            double at = now();
            int fresh = count(buffer, "event: content_block_delta");
            one->ended |= count(buffer, "event: message_stop") > 0;
            if (one->ended)
                first_end = fmin(first_end, at);
            merged += fresh > 1 ? fresh - 1 : 0;
            for (; fresh; fresh--, one->tokens++, one->last = at) {
                if (!one->tokens)
                    all_begun = at;
                if (one->tokens >= WARMUP && one->tokens < tokens)
                    gaps[seen++] = (struct gap){one->last, at, fabs(at - one->last - gap)};
            }
        }
        struct timespec nap = {.tv_nsec = NAP_NS};
        nanosleep(&nap, NULL);
    }
    printf("streams %d whole %d merged %d; %.2f s\n", streams, whole, merged, now() - begun);
    print("from the tenth token on", gaps, seen);
    for (size_t i = 0; i < seen; i++)
        if (gaps[i].began >= all_begun && gaps[i].ended <= first_end)
            gaps[full++] = gaps[i];
    print("while all streams ran", gaps, full);
    return full == 0;
}
