/*
 * A preloaded library that answers every call for the machine's clock itself.
 *
 * ntpd-rs leaves when it may not set the clock. Here it must not set it, so it is told that all is
 * well: reading gives the machine's time and what was set before, setting changes nothing but that.
 * With NOCLOCK_LOG in the environment each setting is a line in that file. No call reaches the kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

static long frequency;
static int status = STA_UNSYNC;

static void note(const struct timex *tx)
{
	const char *path = getenv("NOCLOCK_LOG");
	FILE *log = path ? fopen(path, "a") : NULL;

	if (!log)
		return;
	if (tx->modes & ADJ_FREQUENCY)
		fprintf(log, "frequency %.6f\n", tx->freq / 65536.0);
	if (tx->modes & ADJ_SETOFFSET)
		fprintf(log, "step %ld %ld\n", (long)tx->time.tv_sec, (long)tx->time.tv_usec);
	if (tx->modes & ADJ_STATUS)
		fprintf(log, "status %s\n",
			tx->status & STA_UNSYNC ? "unsynchronised" : "synchronised");
	fclose(log);
}

static int pretend(struct timex *tx)
{
	struct timespec now;

	note(tx);
	if (tx->modes & ADJ_FREQUENCY)
		frequency = tx->freq;
	if (tx->modes & ADJ_STATUS)
		status = tx->status;
	memset(tx, 0, sizeof *tx);
	clock_gettime(CLOCK_REALTIME, &now);
	tx->freq = frequency;
	tx->status = status | STA_NANO;
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
