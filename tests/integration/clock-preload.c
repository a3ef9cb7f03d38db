/* SPDX-License-Identifier: MIT */
/*
 * Clocks that a test sets while the program runs. To be preloaded (LD_PRELOAD).
 *
 * BMS_CLOCK names a file of two integers of 64 bits: µs by which the time since boot and the wall
 * clock are ahead of the machine's. The file is mapped, so what a test writes counts at once. The
 * monotonic clock stays the machine's, as it does over a suspend, and so do all timers.
 *
 * The kernel is asked directly. A look-up of the next clock_gettime() could end in a sanitizer that
 * is not set up yet.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MILLION = 1000000, BILLION = 1000000000 };

typedef struct {
    int64_t boot_us;
    int64_t wall_us;
} Shifts;

static const volatile Shifts *shifts;

__attribute__((constructor)) static void map_shifts(void)
{
    const char *path = getenv("BMS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = MAP_FAILED;

    if (fd < 0)
        return;
    map = mmap(NULL, sizeof *shifts, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        shifts = map;
}

static int64_t shift_us(clockid_t clock)
{
    if (!shifts)
        return 0;
    switch (clock) {
    case CLOCK_BOOTTIME:
        return shifts->boot_us;
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return shifts->wall_us;
    default:
        return 0;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int64_t nanoseconds;

    if (syscall(SYS_clock_gettime, clock, time) != 0)
        return -1;
    nanoseconds = time->tv_nsec + shift_us(clock) % MILLION * 1000;
    time->tv_sec += (time_t)(shift_us(clock) / MILLION);
    if (nanoseconds < 0) {
        nanoseconds += BILLION;
        time->tv_sec--;
    } else if (nanoseconds >= BILLION) {
        nanoseconds -= BILLION;
        time->tv_sec++;
    }
    time->tv_nsec = (long)nanoseconds;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
