/* streams.h - the streams of stdio at the end of the process. */
#ifndef ULLAGE_STREAMS_H
#define ULLAGE_STREAMS_H

/* Write out what waits in buffers. Like exit() this may wait for whoever reads. */
void streams_write_out(void);
/* Before the other threads are stopped: take the lock of the list of streams and those of
 * all streams that can be had soon. No lock of ours is held, and none may be waited for
 * that somebody holds who forks. */
void streams_hold(void);
void streams_release(void);
#endif
