/*
 * A preloaded library that answers every call for the machine's clock itself.
 *
 * ntpd-rs leaves when it may not set the clock. Here it must not set it, so it is told that all is
 * well: reading gives a synchronised clock without corrections, setting does nothing. No call
 * reaches the kernel.
 */
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

static int pretend(struct timex *tx)
{
	struct timespec now;

	memset(tx, 0, sizeof *tx);
	clock_gettime(CLOCK_REALTIME, &now);
	tx->status = STA_NANO;
	tx->precision = 1;
	tx->tolerance = 500 << 16;
	tx->tick = 10000;
	tx->time.tv_sec = now.tv_sec;
	tx->time.tv_usec = now.tv_nsec;
	return TIME_OK;
}

int clock_adjtime(clockid_t clock, struct timex *tx)
{
	(void)clock;
	return pretend(tx);
}

int adjtimex(struct timex *tx) { return pretend(tx); }

int ntp_adjtime(struct timex *tx) { return pretend(tx); }

int clock_settime(clockid_t clock, const struct timespec *ts)
{
	(void)clock;
	(void)ts;
	return 0;
}

int settimeofday(const struct timeval *tv, const struct timezone *tz)
{
	(void)tv;
	(void)tz;
	return 0;
}

int adjtime(const struct timeval *delta, struct timeval *olddelta)
{
	(void)delta;
	if (olddelta)
		memset(olddelta, 0, sizeof *olddelta);
	return 0;
}
