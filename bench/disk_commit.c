/*
 * How long the disk alone takes for a commit (disk.h).
 *
 *     disk_commit [-n TIMES] FILE
 *
 * The file is made, and removed. Prints one JSON object with the times in microseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"

int main(int argc, char **argv)
{
    static struct histogram took;
    long times = 2000;
    int option;
    while ((option = getopt(argc, argv, "n:")) != -1) {
        times = option == 'n' ? strtol(optarg, NULL, 10) : 0;
    }
    if (argc - optind != 1 || times < 1) {
        fprintf(stderr, "usage: disk_commit [-n TIMES] FILE\n");
        return 2;
    }
    if (!disk_measure(argv[optind], times, &took)) {
        fprintf(stderr, "disk_commit: %s: %s\n", argv[optind], strerror(errno));
        return 1;
    }
    printf("{\"times\": %ld, \"p50_us\": %lld, \"p99_us\": %lld, \"max_us\": %lld}\n", times,
           (long long)histogram_us(&took, 0.5), (long long)histogram_us(&took, 0.99),
           (long long)took.max_us);
    return 0;
}
