#include "db/query_parts.h"

#include <stdlib.h>
#include <string.h>

/* SQLite copies the body of a WITH name into each place that uses it, before anything can interrupt it:
 * c1 AS (SELECT 1 FROM c0, c0), c2 AS (... c1, c1), ... is 2^n copies, gigabytes of memory from a
 * few lines. So the copies are counted here first. Names are taken for uses wherever they stand, as a
 * column's too, which errs on the safe side. */
#define NAMES_MAX 64

enum kind { KIND_WORD, KIND_OPEN, KIND_CLOSE, KIND_OTHER };

struct token {
    enum kind kind;
    const char *word; /* lower case, without quotes */
    size_t match;     /* of an OPEN: the index of its CLOSE */
};

struct text {
    const char *at;
    char *words; /* where the next word goes */
    struct token *tokens;
    size_t count;
};

static bool is_word(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           byte == '$' || (byte >= '0' && byte <= '9') || (byte & 0x80) != 0;
}

static char lower(char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        byte = (char)(byte | 0x20);
    return byte;
}

static bool skip_comment(struct text *text)
{
    if (text->at[0] == '-' && text->at[1] == '-') {
        text->at += strcspn(text->at, "\n");
        return true;
    }
    if (text->at[0] == '/' && text->at[1] == '*') {
        const char *end = strstr(text->at + 2, "*/");
        text->at = end == NULL ? text->at + strlen(text->at) : end + 2;
        return true;
    }
    return false;
}

static void put(struct text *text, enum kind kind, const char *word)
{
    text->tokens[text->count++] = (struct token){kind, word, 0};
}

/* 'word', "word", `word` or [word]: each may name a table. A doubled quote is one. */
static void take_quoted(struct text *text)
{
    char close = (char)(*text->at == '[' ? ']' : *text->at);
    const char *word = text->words;
    text->at++;
    while (*text->at != '\0') {
        if (*text->at == close) {
            text->at++;
            if (close == ']' || *text->at != close)
                break;
        }
        *text->words++ = lower(*text->at++);
    }
    *text->words++ = '\0';
    put(text, KIND_WORD, word);
}

static void take_token(struct text *text)
{
    if (strchr("'\"`[", *text->at) != NULL) {
        take_quoted(text);
    } else if (is_word(*text->at)) {
        const char *word = text->words;
        while (is_word(*text->at))
            *text->words++ = lower(*text->at++);
        *text->words++ = '\0';
        put(text, KIND_WORD, word);
    } else {
        char byte = *text->at++;
        put(text, byte == '(' ? KIND_OPEN : byte == ')' ? KIND_CLOSE : KIND_OTHER, "");
    }
}

static void match_brackets(struct text *text, size_t *stack)
{
    size_t depth = 0;
    for (size_t i = 0; i < text->count; i++) {
        if (text->tokens[i].kind == KIND_OPEN)
            stack[depth++] = i;
        else if (text->tokens[i].kind == KIND_CLOSE && depth > 0)
            text->tokens[stack[--depth]].match = i;
    }
    while (depth > 0)
        text->tokens[stack[--depth]].match = text->count;
}

struct name {
    const char *word;
    size_t from, to; /* its body: tokens from..to-1 */
};

static bool is(const struct text *text, size_t index, enum kind kind, const char *word)
{
    return index < text->count && text->tokens[index].kind == kind &&
           (word == NULL || strcmp(text->tokens[index].word, word) == 0);
}

/* NAME [(columns)] AS [[NOT] MATERIALIZED] (body) */
static bool is_definition(const struct text *text, size_t index, struct name *name_out)
{
    size_t at = index + 1;
    if (!is(text, index, KIND_WORD, NULL))
        return false;
    if (is(text, at, KIND_OPEN, NULL))
        at = text->tokens[at].match + 1;
    if (!is(text, at++, KIND_WORD, "as"))
        return false;
    if (is(text, at, KIND_WORD, "not"))
        at++;
    if (is(text, at, KIND_WORD, "materialized"))
        at++;
    if (!is(text, at, KIND_OPEN, NULL))
        return false;
    *name_out = (struct name){text->tokens[index].word, at + 1, text->tokens[at].match};
    return true;
}

static int uses_of(const struct text *text, const char *word, size_t from, size_t to)
{
    int uses = 0;
    for (size_t i = from; i < to; i++)
        if (text->tokens[i].kind == KIND_WORD && strcmp(text->tokens[i].word, word) == 0)
            uses++;
    return uses;
}

static int weigh(const struct text *text, const struct name *names, size_t count, int most)
{
    static const int start = 1;
    int(*uses)[NAMES_MAX] = calloc(count + 1, sizeof *uses);
    int weights[NAMES_MAX + 1], next[NAMES_MAX + 1];
    if (uses == NULL)
        return -1;
    for (size_t i = 0; i <= count; i++) {
        weights[i] = start;
        for (size_t j = 0; j < count; j++)
            uses[i][j] = i == j       ? 0 /* a recursive name is not put into itself */
                         : i == count ? uses_of(text, names[j].word, 0, text->count)
                                      : uses_of(text, names[j].word, names[i].from, names[i].to);
    }
    /* The longest chain of names has `count` links; each round settles one more. */
    for (size_t round = 0; round <= count; round++) {
        for (size_t i = 0; i <= count; i++) {
            int64_t sum = start;
            for (size_t j = 0; j < count && sum <= most; j++)
                sum += (int64_t)uses[i][j] * weights[j];
            next[i] = sum > most ? most + 1 : (int)sum;
        }
        memcpy(weights, next, (count + 1) * sizeof weights[0]);
    }
    free(uses);
    return weights[count];
}

/* Without the word there are no names; most queries have none. */
static bool has_with(const char *sql)
{
    for (; *sql != '\0'; sql++)
        if ((*sql | 0x20) == 'w' && sqlite3_strnicmp(sql, "with", 4) == 0)
            return true;
    return false;
}

int ph_query_weight(const char *sql, int most)
{
    if (!has_with(sql))
        return 1;
    size_t bytes = strlen(sql);
    struct name names[NAMES_MAX];
    size_t count = 0;
    int weight = -1;
    struct text text = {.at = sql};
    char *words = malloc(2 * bytes + 2);
    size_t *stack = malloc((bytes + 1) * sizeof *stack);
    text.tokens = malloc((bytes + 1) * sizeof *text.tokens);
    text.words = words;
    if (words == NULL || stack == NULL || text.tokens == NULL)
        goto cleanup;
    while (*text.at != '\0') {
        if (strchr(" \t\n\r\f", *text.at) != NULL)
            text.at++;
        else if (strncmp(text.at, "\xef\xbb\xbf", 3) == 0) /* white space to SQLite */
            text.at += 3;
        else if (!skip_comment(&text))
            take_token(&text);
    }
    match_brackets(&text, stack);
    for (size_t i = 0; i < text.count && count <= NAMES_MAX; i++) {
        struct name name;
        if (!is_definition(&text, i, &name))
            continue;
        if (count < NAMES_MAX)
            names[count] = name;
        count++;
    }
    weight = count > NAMES_MAX ? most + 1 : weigh(&text, names, count, most);
cleanup:
    free(text.tokens);
    free(stack);
    free(words);
    return weight;
}
