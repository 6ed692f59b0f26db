/*
 * Tells the service manager how we are: the protocol of sd_notify(3), one datagram to the socket
 * named in $NOTIFY_SOCKET, so that no library is needed for it. Not pure.
 */
#ifndef PH_BASE_NOTIFY_H
#define PH_BASE_NOTIFY_H

/* "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...". Nothing happens without the variable,
 * and failures are ignored: nobody's safety hangs on it. */
void ph_notify(const char *state);

#endif
