/*
 * Catalogue: how people write pools down (YAML or JSON). `poolherd pool apply` reads a file into
 * these and sends pool_spec records; cli/declaration.c has the mapping between the two.
 */
#ifndef PH_CATALOGUE_DECLARATION_H
#define PH_CATALOGUE_DECLARATION_H

#define PH_FIELDS_size_declaration(F, T)                                                           \
    F(T, TEXT, cpu, none, PH_OPT, 0, 16, "processors it needs, such as 2 or 0.5")                  \
    F(T, INT, memory_mib, none, PH_OPT, 0, 1000000000, "memory it needs")                          \
    F(T, INT, disk_mib, none, PH_OPT, 0, 1000000000, "disk it needs, on each copy's node too")

#define PH_FIELDS_nodes_declaration(F, T)                                                          \
    F(T, TEXTS, allow, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes by name or key=value label; none: all") \
    F(T, TEXTS, prefer, none, PH_OPT, 0, PH_RELATIONS_MAX, "nodes by name or label, best first")

#define PH_FIELDS_pool_declaration(F, T)                                                           \
    F(T, NAME, name, none, PH_REQ, 1, 63, "the pool's name")                                       \
    F(T, NAME, driver, none, PH_REQ, 1, 63, "directory, btrfs, image, shared, ocf") \
    F(T, ENUM, desired, pool_desired, PH_OPT, 0, 0, "active (as when left out) or inactive")       \
    F(T, INT, priority, none, PH_OPT, -1000000, 1000000, "higher goes first")                      \
    F(T, INT, copies, none, PH_OPT, 0, PH_COPIES_MAX, "copies kept on other nodes")                \
    F(T, INT, sync_interval_s, none, PH_OPT, 0, 86400, "seconds between copies; 0: only when moved") \
    F(T, INT, max_data_loss_s, none, PH_OPT, 0, INT32_MAX, "a take-over from an older copy waits for an operator; 0: no limit") \
    F(T, TEXT, failback, none, PH_OPT, 0, 5, "no (as when left out), yes, or the time of day HH:MM") \
    F(T, ONE, size, size_declaration, PH_OPT, 0, 0, "what it needs")                               \
    F(T, ONE, nodes, nodes_declaration, PH_OPT, 0, 0, "where it may be")                           \
    F(T, TEXTS, together_with, none, PH_OPT, 0, PH_RELATIONS_MAX, "pools that shall be on the same node") \
    F(T, TEXTS, apart_from, none, PH_OPT, 0, PH_RELATIONS_MAX, "pools that must be on another node") \
    F(T, MANY, vms, vm_spec, PH_OPT, 0, PH_VMS_PER_POOL_MAX, "its VMs in start order")             \
    F(T, ONE, image, image_settings, PH_OPT, 0, 0, "of the driver image")                          \
    F(T, ONE, shared, shared_settings, PH_OPT, 0, 0, "of the driver shared")                       \
    F(T, ONE, ocf, ocf_settings, PH_OPT, 0, 0, "of the driver ocf")                                \
    F(T, INT, verify_interval_s, none, PH_OPT, 0, 31536000, "seconds between full comparisons of each copy; 0: when asked") \
    F(T, INT, bandwidth_kib_s, none, PH_OPT, 0, 1000000000, "limit of its copies together; 0: none")

#define PH_FIELDS_declaration(F, T)                                                                \
    F(T, MANY, pools, pool_declaration, PH_REQ, 0, PH_POOLS_MAX, "the pools")

#define PH_DECLARATION_RECORDS(R)                                                                  \
    R(size_declaration) R(nodes_declaration) R(pool_declaration) R(declaration)

#endif
