/*
 * Catalogue: what pool drivers want to know of a pool beyond what every pool has. One record per driver,
 * under the driver's name in the declaration; the inventory keeps them together as pool.settings.
 */
#ifndef PH_CATALOGUE_SETTINGS_H
#define PH_CATALOGUE_SETTINGS_H

#define PH_FIELDS_image_settings(F, T)                                                             \
    F(T, ENUM, file_system, file_system, PH_OPT, 0, 0, "ext4 (as when left out) or xfs; its size is size.disk_mib")

#define PH_FIELDS_pool_settings(F, T)                                                              \
    F(T, ONE, image, image_settings, PH_OPT, 0, 0, "of the driver image")

#define PH_SETTINGS_RECORDS(R) R(image_settings) R(pool_settings)

#endif
