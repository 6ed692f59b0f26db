#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/serve/shell.h"
#include "base/assert.h"

int ph_mailbox_init(struct ph_mailbox *mailbox)
{
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    if (pipe(mailbox->wake_fds) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(mailbox->wake_fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(mailbox->wake_fds[i], F_SETFL, O_NONBLOCK);
    }
    return -pthread_mutex_init(&mailbox->lock, NULL);
}

void ph_mailbox_fini(struct ph_mailbox *mailbox)
{
    struct ph_note *note = ph_mailbox_take(mailbox);
    while (note) {
        struct ph_note *next = note->next;
        void *seen = note->seen;
        if (seen)
            ph_record_destroy(&ph_record_vm_report, &seen);
        free(note->text);
        free(note);
        note = next;
    }
    close(mailbox->wake_fds[0]);
    close(mailbox->wake_fds[1]);
    pthread_mutex_destroy(&mailbox->lock);
}

struct ph_note *ph_note_new(enum ph_note_kind kind)
{
    struct ph_note *note = calloc(1, sizeof(*note));
    ph_assert(note);
    note->kind = kind;
    return note;
}

void ph_mailbox_put(struct ph_mailbox *mailbox, struct ph_note *note)
{
    pthread_mutex_lock(&mailbox->lock);
    note->next = NULL;
    *mailbox->last = note;
    mailbox->last = &note->next;
    pthread_mutex_unlock(&mailbox->lock);
    /* A full pipe means that the loop is woken anyway. */
    ssize_t written = write(mailbox->wake_fds[1], "n", 1);
    (void)written;
}

struct ph_note *ph_mailbox_take(struct ph_mailbox *mailbox)
{
    char bytes[256];
    while (read(mailbox->wake_fds[0], bytes, sizeof(bytes)) > 0)
        ;
    pthread_mutex_lock(&mailbox->lock);
    struct ph_note *first = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return first;
}
