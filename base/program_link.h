/*
 * The link through which the system shows a program its own file. Private to base/.
 */
#ifndef PH_BASE_PROGRAM_LINK_H
#define PH_BASE_PROGRAM_LINK_H

extern const char ph_program_link[];

#endif
