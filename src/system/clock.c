/* SPDX-License-Identifier: MIT */
#include "system.h"

#include <time.h>

gint64 system_boot_us(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_BOOTTIME, &time) != 0) /* Linux has it since 2.6.39 */
        return g_get_monotonic_time();
    return (gint64)time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

/* Two clocks cannot be read at once. The narrower the two readings of the one around that of the
 * other, the better; a process that has to wait for its processor in between tries again. */
gint64 system_boot_unix_us(void)
{
    enum { TRIES = 5, NARROW_US = 100 };
    gint64 narrowest = G_MAXINT64;
    gint64 best = 0;

    for (int i = 0; i < TRIES && narrowest > NARROW_US; i++) {
        const gint64 before = system_boot_us();
        const gint64 wall = g_get_real_time();
        const gint64 width = system_boot_us() - before;

        if (width < narrowest) {
            narrowest = width;
            best = wall - before - width / 2;
        }
    }
    return best;
}

gint64 system_follow_clock(gint64 known_us, gint64 measured_us)
{
    /* NTP slews both clocks alike, so they go apart by steps only. Few programs step by less than
     * this, and no reading is as far off. */
    return ABS(measured_us - known_us) > G_USEC_PER_SEC / 2 ? measured_us : known_us;
}
