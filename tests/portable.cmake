# Fails when a file that is not named *_linux.c needs Linux: FreeBSD shall be able to follow.
#   cmake -DSOURCE=DIR -P portable.cmake
# With -DEXPECT_VIOLATION=ON it must find something: so the test of the test (tests/purity/) works.
# With -DNM=nm -DLIBRARIES=a.a;b.a -DOTHER=x.o;y.o it asks of the built files whether whatever the
# portable ones call in a *_linux.c exists in a *_other.c too.
cmake_minimum_required(VERSION 3.25)

# C17, POSIX.1-2008 (getopt.h is in every BSD) and the libraries we link: nothing else is on all systems.
set(everywhere
    assert ctype errno float inttypes limits locale math setjmp signal stdarg stdatomic stdbool stddef
    stdint stdio stdlib string time wchar dirent dlfcn fcntl getopt grp netdb poll pthread pwd sched
    spawn strings syslog termios unistd arpa/inet netinet/in netinet/tcp sys/file sys/ioctl sys/mman
    sys/resource sys/select sys/socket sys/stat sys/statvfs sys/time sys/times sys/types sys/uio
    sys/un sys/utsname sys/wait
    cmocka czmq jansson libsmartcols/libsmartcols sodium sqlite3 yaml zmq)

if(NOT NM)
    file(GLOB_RECURSE sources RELATIVE ${SOURCE} ${SOURCE}/base/*.[ch] ${SOURCE}/proto/*.[ch]
        ${SOURCE}/db/*.[ch] ${SOURCE}/manager/*.[ch] ${SOURCE}/agent/*.[ch] ${SOURCE}/cli/*.[ch]
        ${SOURCE}/include/*.[ch] ${SOURCE}/purity/*.[ch])
    list(FILTER sources EXCLUDE REGEX "_linux\\.c$")
    if(sources STREQUAL "")
        message(FATAL_ERROR "there is no file to look at in ${SOURCE}")
    endif()
    set(found "")
    foreach(source ${sources})
        file(STRINGS ${SOURCE}/${source} lines
            REGEX "^[ \t]*#[ \t]*include[ \t]*<|_GNU_SOURCE|_DEFAULT_SOURCE|/proc/self|/sys/fs")
        foreach(line ${lines})
            if(line MATCHES "^[ \t]*#[ \t]*include[ \t]*<(.*)\\.h>")
                if(NOT CMAKE_MATCH_1 IN_LIST everywhere)
                    string(APPEND found "  ${source}: ${line}\n")
                endif()
            elseif(NOT line MATCHES "^[ \t]*(/\\*|\\*|//)")
                string(APPEND found "  ${source}: ${line}\n")
            endif()
        endforeach()
    endforeach()
    if(EXPECT_VIOLATION)
        if(found STREQUAL "")
            message(FATAL_ERROR "a file that needs Linux was not noticed: the check is blind")
        endif()
    elseif(NOT found STREQUAL "")
        message(FATAL_ERROR "only files named *_linux.c may need Linux:\n${found}")
    endif()
    return()
endif()

set(needed "")
set(linux "")
set(other "")
foreach(file ${LIBRARIES} ${OTHER})
    execute_process(COMMAND ${NM} -g ${file} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${NM} ${file} ended with ${status}")
    endif()
    set(member ${file})
    string(REPLACE ";" "," printed "${printed}")
    string(REPLACE "\n" ";" printed "${printed}")
    foreach(line ${printed})
        if(line MATCHES "^(.*\\.o):$")
            set(member ${CMAKE_MATCH_1})
        elseif(line MATCHES " ([A-Za-z]) (ph_[a-z0-9_]+)$")
            set(kind ${CMAKE_MATCH_1})
            set(name ${CMAKE_MATCH_2})
            if(kind STREQUAL "U")
                if(NOT member MATCHES "_linux\\.c\\.o$")
                    list(APPEND needed ${name})
                endif()
            elseif(kind MATCHES "[TDRBC]")
                if(member MATCHES "_linux\\.c\\.o$")
                    list(APPEND linux ${name})
                elseif(member MATCHES "_other\\.c\\.o$")
                    list(APPEND other ${name})
                endif()
            endif()
        endif()
    endforeach()
endforeach()
list(REMOVE_DUPLICATES needed)
if(linux STREQUAL "" OR other STREQUAL "")
    message(FATAL_ERROR "no function of a *_linux.c or of a *_other.c was found: the check is blind")
endif()
set(missing "")
foreach(name ${needed})
    if(name IN_LIST linux AND NOT name IN_LIST other)
        string(APPEND missing "  ${name}\n")
    endif()
endforeach()
if(NOT missing STREQUAL "")
    message(FATAL_ERROR "portable files call these, which only a *_linux.c has:\n${missing}")
endif()
