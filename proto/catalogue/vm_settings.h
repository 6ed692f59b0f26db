/*
 * Catalogue: what one kind of VM has beyond what each has, as people declare it (`qemu:`, `container:`, `ocf:`
 * below a VM) and as it is stored and ordered (JSON in the column of that name). What the fields mean together
 * is checked in proto/qemu.h, proto/container.h and proto/resource.h.
 */
#ifndef PH_CATALOGUE_VM_SETTINGS_H
#define PH_CATALOGUE_VM_SETTINGS_H

/* The newest one of the oldest QEMU we know to work (Debian 12): newer ones have it too, so that a VM finds
 * the same machine on each node whatever QEMU it has. */
#define PH_QEMU_MACHINE "pc-q35-7.2"

#define PH_VALUES_disk_format(V)                                                                   \
    V(PH_DISK_QCOW2, "qcow2", "grows as it is written, has snapshots")                             \
    V(PH_DISK_RAW, "raw", "the bytes as the guest sees them")

#define PH_VALUES_disk_media(V)                                                                    \
    V(PH_MEDIA_DISK, "disk", "a virtio disk")                                                      \
    V(PH_MEDIA_CDROM, "cdrom", "a CD-ROM drive with an image in it; read only")

#define PH_VALUES_nic_kind(V)                                                                      \
    V(PH_NIC_USER, "user", "QEMU's own network: the guest can go out, and forwards lead in")       \
    V(PH_NIC_TAP, "tap", "a tap device on a bridge of the node")

#define PH_VALUES_firmware(V)                                                                      \
    V(PH_FIRMWARE_BIOS, "bios", "SeaBIOS")                                                         \
    V(PH_FIRMWARE_UEFI, "uefi", "OVMF; its variables are VM.nvram in the pool")

#define PH_VALUES_accelerator(V)                                                                   \
    V(PH_ACCELERATOR_AUTO, "auto", "kvm where a guest really runs with it, else tcg")              \
    V(PH_ACCELERATOR_KVM, "kvm", "the processor's own virtualization, or not at all")              \
    V(PH_ACCELERATOR_TCG, "tcg", "emulated: slow, and works everywhere")

#define PH_FIELDS_qemu_disk(F, T)                                                                  \
    F(T, NAME, name, none, PH_KEY, 1, 20, "the disk's name; its serial number in the guest")       \
    F(T, TEXT, file, none, PH_OPT, 0, 255, "path in the pool; empty: VM-NAME.FORMAT. Of a cdrom also an absolute one") \
    F(T, ENUM, format, disk_format, PH_OPT, 0, 0, "qcow2 (as when left out) or raw")               \
    F(T, INT, size_mib, none, PH_OPT, 0, 1073741824, "it is created so large when there is no such file; 0: it must be there") \
    F(T, INT, iops, none, PH_OPT, 0, 10000000, "reads and writes a second at most; 0: no limit")   \
    F(T, INT, mib_per_s, none, PH_OPT, 0, 1000000, "read and written a second at most; 0: no limit") \
    F(T, ENUM, media, disk_media, PH_OPT, 0, 0, "disk (as when left out) or cdrom")                \
    F(T, BOOL, read_only, none, PH_OPT, 0, 0, "the guest may not write to it")

#define PH_FIELDS_qemu_nic(F, T)                                                                   \
    F(T, NAME, name, none, PH_KEY, 1, 20, "the network card's name")                               \
    F(T, ENUM, kind, nic_kind, PH_OPT, 0, 0, "user (as when left out) or tap")                     \
    F(T, TEXT, bridge, none, PH_OPT, 0, 15, "of a tap: the node's bridge")                         \
    F(T, TEXT, mac, none, PH_OPT, 0, 17, "aa:bb:cc:dd:ee:ff; empty: from cluster, pool, VM and card, the same for ever") \
    F(T, TEXTS, forward, none, PH_OPT, 0, 32, "of a user network: ADDRESS:PORT:GUESTPORT, TCP, ADDRESS of the node")

#define PH_FIELDS_qemu_vnc(F, T)                                                                   \
    F(T, TEXT, address, none, PH_OPT, 0, 64, "where it listens; empty: no VNC")                    \
    F(T, INT, port, none, PH_OPT, 0, 65535, "5900 or more; 0: the first free one from 5900 on")    \
    F(T, TEXT, password_file, none, PH_OPT, 0, 255, "path in the pool; its first line is the password, of 8 characters at most")

#define PH_FIELDS_qemu_cloud_init(F, T)                                                            \
    F(T, TEXT, user_data, none, PH_OPT, 0, PH_CLOUD_INIT_BYTES_MAX, "the text itself; no secrets: who may ask the inventory sees it") \
    F(T, TEXT, user_data_file, none, PH_OPT, 0, 255, "path in the pool, instead of user_data")     \
    F(T, TEXT, meta_data, none, PH_OPT, 0, PH_CLOUD_INIT_BYTES_MAX, "empty: instance-id and local-hostname from the VM") \
    F(T, TEXT, network_config, none, PH_OPT, 0, PH_CLOUD_INIT_BYTES_MAX, "empty: none, and the guest's own default")

#define PH_FIELDS_qemu(F, T)                                                                       \
    F(T, INT, cpus, none, PH_OPT, 0, 512, "processors of the guest; 0: 1")                         \
    F(T, INT, memory_mib, none, PH_OPT, 0, 16777216, "memory of the guest; 0: 512")                \
    F(T, MANY, disks, qemu_disk, PH_OPT, 0, PH_VM_DISKS_MAX, "in the order of the guest's devices") \
    F(T, MANY, nics, qemu_nic, PH_OPT, 0, PH_VM_NICS_MAX, "network cards")                         \
    F(T, TEXTS, boot, none, PH_OPT, 0, PH_VM_DISKS_MAX, "names of disks and nics, tried in this order; empty: the disks as listed") \
    F(T, ENUM, firmware, firmware, PH_OPT, 0, 0, "bios (as when left out) or uefi")                \
    F(T, TEXT, kernel, none, PH_OPT, 0, 255, "started directly: path in the pool, or an absolute one") \
    F(T, TEXT, initrd, none, PH_OPT, 0, 255, "of the kernel: likewise")                            \
    F(T, TEXT, append, none, PH_OPT, 0, 2000, "of the kernel: its command line")                   \
    F(T, ONE, vnc, qemu_vnc, PH_OPT, 0, 0, "its screen")                                           \
    F(T, ONE, cloud_init, qemu_cloud_init, PH_OPT, 0, 0, "a NoCloud disk (CIDATA) made at each start") \
    F(T, ENUM, accelerator, accelerator, PH_OPT, 0, 0, "auto (as when left out), kvm or tcg")      \
    F(T, TEXT, machine, none, PH_OPT, 0, 63, "versioned machine type; empty: " PH_QEMU_MACHINE)    \
    F(T, TEXT, cpu, none, PH_OPT, 0, 200, "processor model; empty: host under kvm, max under tcg")

#define PH_VALUES_container_network(V)                                                             \
    V(PH_NETWORK_HOST, "host", "the node's own network")                                           \
    V(PH_NETWORK_NONE, "none", "a network of its own with nothing in it but loopback")

#define PH_FIELDS_container(F, T)                                                                  \
    F(T, TEXT, root, none, PH_OPT, 0, 255, "directory in the pool with its file system; empty: VM-NAME.root") \
    F(T, BOOL, read_only, none, PH_OPT, 0, 0, "it may not write to its file system")               \
    F(T, INT, uid, none, PH_OPT, 0, 4294967294, "user of its first process, as its file system has them; 0: root") \
    F(T, INT, gid, none, PH_OPT, 0, 4294967294, "likewise the group")                              \
    F(T, TEXT, directory, none, PH_OPT, 0, 1000, "in which its command begins; empty: /")          \
    F(T, TEXT, hostname, none, PH_OPT, 0, 63, "empty: the VM's name")                              \
    F(T, ENUM, network, container_network, PH_OPT, 0, 0, "host (as when left out) or none")        \
    F(T, TEXTS, mounts, none, PH_OPT, 0, PH_CONTAINER_MOUNTS_MAX, "PATH-IN-POOL:PATH-IN-CONTAINER, with :ro read only")

#define PH_FIELDS_resource(F, T)                                                                   \
    F(T, TEXT, agent, none, PH_OPT, 0, 128, "the resource agent, as ocf:heartbeat:IPaddr2")        \
    F(T, TEXTS, parameters, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "NAME=value, as its metadata names them; {pool_path}, {pool}, {node}, {epoch}, {vm} are filled in") \
    F(T, INT, interval_s, none, PH_OPT, 0, 86400, "from one monitor to the next; 0: 10")           \
    F(T, INT, timeout_s, none, PH_OPT, 0, 3600, "for each of its actions; 0: 20")

#define PH_VM_SETTINGS_RECORDS(R)                                                                  \
    R(qemu_disk) R(qemu_nic) R(qemu_vnc) R(qemu_cloud_init) R(qemu) R(container) R(resource)

#endif
