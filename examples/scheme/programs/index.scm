;;; index.scm -- a search index over real data, asked and changed all the time.
;;;
;;; usage:     index.scm [FILE [ROUNDS [SEED]]]
;;;            index.scm --tree DIRECTORY [ROUNDS [SEED]]
;;;            FILE       the output of cargo metadata --format-version 1 (default: - for the standard input)
;;;            DIRECTORY  of source files: all .rs, .toml and .md files below it
;;;            ROUNDS     number of questions and changes (default 20000)
;;;            SEED       of the random numbers, positive (default 1)
;;; test-args: @METADATA@ 3000
;;;
;;; The other programs make up their data. This one reads it: a megabyte or more of JSON that describes all packages
;;; a Rust project depends on, or a whole tree of source files. Reading produces lots of garbage (characters, digits,
;;; pieces of lists) and, scattered in between, what will stay: the objects that live long do not lie together.
;;;
;;; A package becomes a document that has a name, some words (of its description, its keywords and so on), and needs
;;; other documents (its dependencies). A file becomes a document that has the words it contains, and needs the
;;; files whose names it mentions. The index over these documents is meshed as indexes are:
;;;
;;;   hash tables  from identifier to document, and from word to posting, which lists the documents with that word;
;;;   a graph      in which documents refer to those they need, and to those that need them: full of cycles;
;;;   a trie       of the names, letter by letter.
;;;
;;; Then come the rounds. A round picks a document and either asks something about it -- who needs it, directly or
;;; not? which is the longest way down from it? which names begin like it? -- which takes temporary tables and lists;
;;; or changes it: takes it out of the index, puts it back, renames it, exchanges one of its words. So the collector
;;; meets a large old structure, mutated everywhere at a moderate rate while garbage is produced at a high one, which
;;; is what a server looks like.
;;;
;;; All questions are answered by numbers that go into a checksum. It depends on the input and the arguments alone, not
;;; on the order in which hash tables happen to keep their keys. In the end the program undoes all changes, and the
;;; fingerprint of the index must be again what it was in the beginning.

(import (scheme base)
        (scheme char)
        (scheme file)
        (scheme write)
        (scheme process-context)
        (srfi 69))

(define (say . things)
  (for-each display things)
  (newline))

;;; Lists

(define (filter keep? items)
  (let loop ((items items) (kept '()))
    (cond ((null? items) (reverse kept))
          ((keep? (car items)) (loop (cdr items) (cons (car items) kept)))
          (else (loop (cdr items) kept)))))

(define (fold combine seed items)
  (if (null? items)
      seed
      (fold combine (combine (car items) seed) (cdr items))))

(define (append-map f items)
  (if (null? items)
      '()
      (append (f (car items))
              (append-map f (cdr items)))))

(define (remove-duplicates items)
  (let ((seen (make-hash-table equal?)))
    (filter (lambda (item)
              (and (not (hash-table-exists? seen item))
                   (begin (hash-table-set! seen item #t) #t)))
            items)))

;; The first N items, or all.
(define (take items n)
  (if (or (zero? n) (null? items))
      '()
      (cons (car items) (take (cdr items) (- n 1)))))

(define (merge one other before?)
  (let loop ((one one) (other other) (merged '()))
    (cond ((null? one) (append (reverse merged) other))
          ((null? other) (append (reverse merged) one))
          ((before? (car other) (car one))
           (loop one (cdr other) (cons (car other) merged)))
          (else
           (loop (cdr one) other (cons (car one) merged))))))

;; A sorted list of the items; equal ones stay in order.
(define (sort items before?)
  (let sort-first ((items items) (n (length items)))
    (cond ((zero? n) '())
          ((= n 1) (list (car items)))
          (else
           (let ((half (quotient n 2)))
             (merge (sort-first items half)
                    (sort-first (list-tail items half) (- n half))
                    before?))))))

;; Takes all pairs with this key out of an association list, in place.
(define (unlink! key pairs)
  (cond ((null? pairs) '())
        ((eq? (caar pairs) key)
         (unlink! key (cdr pairs)))
        (else
         (set-cdr! pairs (unlink! key (cdr pairs)))
         pairs)))

;;; Numbers

(define modulus 1000000007)

(define (mix . numbers)
  (fold (lambda (n sum) (modulo (+ (* sum 31) n 1) modulus))
        0
        numbers))

(define (hash-text text)
  (let ((port (open-input-string text)))
    (let loop ((hash 0))
      (let ((char (read-char port)))
        (if (eof-object? char)
            hash
            (loop (mix hash (char->integer char))))))))

(define random-state 1)

;; Park and Miller's generator.
(define (random! n)
  (set! random-state (modulo (* random-state 48271) 2147483647))
  (modulo random-state n))

(define (random-item! items)
  (list-ref items (random! (length items))))

;;; JSON
;;;
;;; Objects become association lists of symbols, arrays vectors, null the symbol null.

(define (read-json port)
  (define (fail what)
    (error "this is not JSON" what (peek-char port)))

  (define (skip-space)
    (let ((char (peek-char port)))
      (when (and (char? char) (char-whitespace? char))
        (read-char port)
        (skip-space))))

  (define (expect char)
    (unless (eqv? (read-char port) char)
      (fail char)))

  (define (read-constant word value)
    (string-for-each expect word)
    value)

  (define (read-hex)
    (let loop ((i 0) (n 0))
      (if (= i 4)
          n
          (let ((digit (string->number (string (read-char port)) 16)))
            (loop (+ i 1) (+ (* 16 n) (or digit (fail 'hex))))))))

  ;; \uXXXX, or two of them for a character of more than 16 bits.
  (define (read-unicode)
    (let ((n (read-hex)))
      (cond ((<= #xD800 n #xDBFF)
             (expect #\\)
             (expect #\u)
             (integer->char
              (+ #x10000
                 (* #x400 (- n #xD800))
                 (- (read-hex) #xDC00))))
            (else
             (integer->char n)))))

  (define (read-escape)
    (let ((char (read-char port)))
      (case char
        ((#\n) #\newline)
        ((#\t) #\tab)
        ((#\r) #\return)
        ((#\b) #\backspace)
        ((#\f) #\x0C)
        ((#\u) (read-unicode))
        (else char))))

  (define (read-text)
    (expect #\")
    (let loop ((chars '()))
      (let ((char (read-char port)))
        (cond ((eof-object? char) (fail 'string))
              ((char=? char #\") (list->string (reverse chars)))
              ((char=? char #\\) (loop (cons (read-escape) chars)))
              (else (loop (cons char chars)))))))

  (define (read-number)
    (let loop ((chars '()))
      (let ((char (peek-char port)))
        (if (and (char? char)
                 (or (char-numeric? char) (memv char '(#\- #\+ #\. #\e #\E))))
            (loop (cons (read-char port) chars))
            (or (string->number (list->string (reverse chars)))
                (fail 'value))))))

  ;; The items up to the closing character, separated by commas.
  (define (read-items close read-item)
    (read-char port)
    (skip-space)
    (let loop ((items '()))
      (cond ((eqv? (peek-char port) close)
             (read-char port)
             (reverse items))
            (else
             (let ((item (read-item)))
               (skip-space)
               (unless (eqv? (peek-char port) close)
                 (expect #\,)
                 (skip-space))
               (loop (cons item items)))))))

  (define (read-member)
    (let ((key (string->symbol (read-text))))
      (skip-space)
      (expect #\:)
      (cons key (read-value))))

  (define (read-value)
    (skip-space)
    (case (peek-char port)
      ((#\{) (read-items #\} read-member))
      ((#\[) (list->vector (read-items #\] read-value)))
      ((#\") (read-text))
      ((#\t) (read-constant "true" #t))
      ((#\f) (read-constant "false" #f))
      ((#\n) (read-constant "null" 'null))
      (else (read-number))))

  (read-value))

;; What is at the end of a path of keys; null as soon as there is nothing.
(define (field value . path)
  (cond ((null? path) value)
        ((and (pair? value) (assq (car path) value))
         => (lambda (member)
              (apply field (cdr member) (cdr path))))
        (else 'null)))

(define (elements value)
  (if (vector? value) (vector->list value) '()))

(define (text-or default value)
  (if (string? value) value default))

;;; Words
;;;
;;; A bag of words is an association list of words and how often they occur, in the order of their appearance.

(define shortest-word 4)

;; Only ASCII, because not all Schemes know the same version of Unicode.
(define (word-char? char)
  (and (char<? char #\x80)
       (or (char-alphabetic? char) (char-numeric? char))))

;; The next word from the port, in lower case, or an end-of-file object.
(define (read-word port)
  (let loop ((chars '()) (length 0))
    (let ((char (read-char port)))
      (cond ((and (char? char) (word-char? char))
             (loop (cons (char-downcase char) chars) (+ length 1)))
            ((>= length shortest-word)
             (list->string (reverse chars)))
            ((eof-object? char) char)
            (else (loop '() 0))))))

(define (bag-of-words port)
  (let ((counts (make-hash-table equal?)))
    (let loop ((bag '()))
      (let ((word (read-word port)))
        (cond ((eof-object? word)
               (reverse bag))
              ((hash-table-ref/default counts word #f)
               => (lambda (entry)
                    (set-cdr! entry (+ (cdr entry) 1))
                    (loop bag)))
              (else
               (let ((entry (cons word 1)))
                 (hash-table-set! counts word entry)
                 (loop (cons entry bag)))))))))

;;; Sources: what is known about a document, whether or not it is in the index. They never change.

(define-record-type <source>
  (make-source id name words wanted)
  source?
  (id source-id)
  (name source-name)
  (words source-words)                  ; a bag
  (wanted source-wanted))               ; the identifiers of the documents it needs

(define (package-words package)
  (let ((port (open-output-string)))
    (define (put text)
      (write-string (text-or "" text) port)
      (newline port))
    (put (field package 'name))
    (put (field package 'description))
    (for-each put (elements (field package 'keywords)))
    (for-each put (elements (field package 'categories)))
    (let ((features (field package 'features)))
      (when (list? features)
        (for-each (lambda (feature) (put (symbol->string (car feature))))
                  features)))
    (bag-of-words (open-input-string (get-output-string port)))))

;; Cargo resolves dependencies to identifiers, unless it was told not to: then packages only name what they need.
(define (metadata->sources metadata)
  (let ((packages (elements (field metadata 'packages)))
        (resolved (make-hash-table equal?))
        (named (make-hash-table equal?)))
    (define (name-of package)
      (text-or "?" (field package 'name)))
    (define (id-of package)
      (text-or (name-of package) (field package 'id)))
    (define (wanted package)
      (filter string?
              (hash-table-ref/default
               resolved
               (id-of package)
               (append-map
                (lambda (dependency)
                  (hash-table-ref/default named (field dependency 'name) '()))
                (elements (field package 'dependencies))))))
    (for-each
     (lambda (package)
       (hash-table-update!/default named (name-of package)
                                   (lambda (ids) (cons (id-of package) ids))
                                   '()))
     packages)
    (for-each
     (lambda (node)
       (hash-table-set! resolved (field node 'id)
                        (map (lambda (dependency) (field dependency 'pkg))
                             (elements (field node 'deps)))))
     (elements (field metadata 'resolve 'nodes)))
    (map (lambda (package)
           (make-source (id-of package)
                        (name-of package)
                        (package-words package)
                        (remove-duplicates (wanted package))))
         packages)))

;;; Directories, which R7RS knows nothing about

(cond-expand
  (pagemark
   (import (pagemark)))                ; has them
  (else
   (define (file-directory? path)
     (error "this Scheme cannot read directories" path))
   (define directory-list file-directory?)))

(define (string-suffix? suffix text)
  (let ((start (- (string-length text) (string-length suffix))))
    (and (>= start 0)
         (string=? suffix (string-copy text start)))))

(define (source-file? path)
  (or (string-suffix? ".rs" path)
      (string-suffix? ".toml" path)
      (string-suffix? ".md" path)))

;; All source files below a directory, sorted, hidden ones left out.
(define (source-files directory)
  (append-map
   (lambda (name)
     (let ((path (string-append directory "/" name)))
       (cond ((char=? (string-ref name 0) #\.) '())
             ((file-directory? path) (source-files path))
             ((source-file? name) (list path))
             (else '()))))
   (sort (directory-list directory) string<?)))

;; The words of a file; none if it is not text.
(define (file-words path)
  (guard (condition (#t '()))
    (call-with-input-file path bag-of-words)))

(define (position-after char text)
  (let loop ((i (string-length text)))
    (if (or (zero? i) (char=? (string-ref text (- i 1)) char))
        i
        (loop (- i 1)))))

;; "src/heap.rs" -> "heap"
(define (stem path)
  (let* ((name (string-copy path (position-after #\/ path)))
         (end (- (position-after #\. name) 1)))
    (string-downcase (string-copy name 0 end))))

(define (files->sources paths)
  (let ((paths-by-stem (make-hash-table equal?)))
    ;; A name that many files share, such as main, refers to none of them.
    (define (mentioned word)
      (let ((paths (hash-table-ref/default paths-by-stem (car word) '())))
        (if (> (length paths) 3) '() paths)))
    (for-each
     (lambda (path)
       (hash-table-update!/default paths-by-stem (stem path)
                                   (lambda (paths) (cons path paths))
                                   '()))
     paths)
    (map (lambda (path)
           (let ((words (file-words path)))
             (make-source path
                          (stem path)
                          words
                          (filter (lambda (other) (not (string=? other path)))
                                  (append-map mentioned words)))))
         paths)))

;;; Documents: what is in the index

(define-record-type <document>
  (make-document source name hash entries needs users)
  document?
  (source document-source)
  (name document-name set-document-name!)
  (hash document-hash)
  (entries document-entries set-document-entries!) ; ((posting . count) ...)
  (needs document-needs set-document-needs!)       ; ((document . #t) ...)
  (users document-users set-document-users!))      ; ((document . #t) ...)

(define (document-id document)
  (source-id (document-source document)))

(define-record-type <posting>
  (make-posting word total places)
  posting?
  (word posting-word)
  (total posting-total set-posting-total!)
  (places posting-places set-posting-places!))     ; ((document . count) ...)

;; A node of the trie: the documents whose name ends here, and what follows each letter.
(define-record-type <trie>
  (make-trie ends children)
  trie?
  (ends trie-ends set-trie-ends!)                  ; ((document . #t) ...)
  (children trie-children set-trie-children!))     ; ((letter . trie) ...)

(define documents (make-hash-table equal?))        ; identifier -> document
(define postings (make-hash-table equal?))         ; word -> posting
(define names (make-trie '() '()))
(define wanters (make-hash-table equal?))          ; identifier -> identifiers of those that want it

(define (document-of id)
  (hash-table-ref/default documents id #f))

(define (documents-of ids)
  (filter document? (map document-of ids)))

;;; Names

(define (trie-child! trie char)
  (cond ((assv char (trie-children trie)) => cdr)
        (else
         (let ((child (make-trie '() '())))
           (set-trie-children! trie (cons (cons char child)
                                          (trie-children trie)))
           child))))

(define (enter-name! document)
  (let loop ((trie names) (chars (string->list (document-name document))))
    (if (null? chars)
        (set-trie-ends! trie (cons (cons document #t) (trie-ends trie)))
        (loop (trie-child! trie (car chars)) (cdr chars)))))

;; Takes the document out of the trie, and the nodes that only served its name.
(define (remove-name! document)
  (let loop ((trie names) (chars (string->list (document-name document))))
    (cond ((null? chars)
           (set-trie-ends! trie (unlink! document (trie-ends trie))))
          (else
           (let ((child (trie-child! trie (car chars))))
             (loop child (cdr chars))
             (when (and (null? (trie-ends child))
                        (null? (trie-children child)))
               (set-trie-children!
                trie
                (unlink! (car chars) (trie-children trie)))))))))

;; Combines all nodes of the trie.
(define (trie-fold combine seed trie)
  (fold (lambda (child sum) (trie-fold combine sum (cdr child)))
        (combine trie seed)
        (trie-children trie)))

;;; Words

(define (posting-of! word)
  (or (hash-table-ref/default postings word #f)
      (let ((posting (make-posting word 0 '())))
        (hash-table-set! postings word posting)
        posting)))

(define (enter-word! document word count)
  (let ((posting (posting-of! word)))
    (set-posting-total! posting (+ (posting-total posting) count))
    (set-posting-places! posting (cons (cons document count)
                                       (posting-places posting)))
    (set-document-entries! document (cons (cons posting count)
                                          (document-entries document)))))

(define (remove-word! document entry)
  (let ((posting (car entry)))
    (set-posting-total! posting (- (posting-total posting) (cdr entry)))
    (set-posting-places! posting (unlink! document (posting-places posting)))
    (set-document-entries! document
                           (unlink! posting (document-entries document)))
    (when (zero? (posting-total posting))
      (hash-table-delete! postings (posting-word posting)))))

;;; Needs

(define (connect! user needed)
  (set-document-needs! user (cons (cons needed #t) (document-needs user)))
  (set-document-users! needed (cons (cons user #t) (document-users needed))))

(define (disconnect! user needed)
  (set-document-needs! user (unlink! needed (document-needs user)))
  (set-document-users! needed (unlink! user (document-users needed))))

;;; The index as a whole

(define (enter-document! source)
  (let* ((id (source-id source))
         (document (make-document source
                                  (string-copy (source-name source))
                                  (hash-text id)
                                  '() '() '())))
    (hash-table-set! documents id document)
    (enter-name! document)
    (for-each (lambda (word) (enter-word! document (car word) (cdr word)))
              (source-words source))
    (for-each (lambda (needed) (connect! document needed))
              (documents-of (source-wanted source)))
    (for-each (lambda (user) (connect! user document))
              (filter (lambda (user) (not (eq? user document)))
                      (documents-of (hash-table-ref/default wanters id '()))))))

(define (remove-document! document)
  (for-each (lambda (need) (disconnect! document (car need)))
            (list-copy (document-needs document)))
  (for-each (lambda (user) (disconnect! (car user) document))
            (list-copy (document-users document)))
  (for-each (lambda (entry) (remove-word! document entry))
            (list-copy (document-entries document)))
  (remove-name! document)
  (hash-table-delete! documents (document-id document)))

(define (build-index! sources)
  (for-each
   (lambda (source)
     (for-each
      (lambda (id)
        (hash-table-update!/default wanters id
                                    (lambda (ids) (cons (source-id source) ids))
                                    '()))
      (source-wanted source)))
   sources)
  (for-each enter-document! sources))

;; Undoes all changes.
(define (restore-index! sources)
  (for-each
   (lambda (source)
     (let ((document (document-of (source-id source))))
       (if document (remove-document! document))
       (enter-document! source)))
   sources))

(define (count-edges)
  (fold (lambda (document n) (+ n (length (document-needs document))))
        0
        (hash-table-values documents)))

;; A number that tells about everything in the index, but does not depend on the order in which it got there.
(define (fingerprint)
  (define (sum-of hash items)
    (fold (lambda (item sum) (modulo (+ sum (hash item)) modulus)) 0 items))
  (define (hash-link link)
    (document-hash (car link)))
  (define (hash-document document)
    (mix (document-hash document)
         (hash-text (document-name document))
         (sum-of (lambda (entry)
                   (mix (hash-text (posting-word (car entry))) (cdr entry)))
                 (document-entries document))
         (sum-of hash-link (document-needs document))
         (sum-of hash-link (document-users document))))
  (define (hash-posting posting)
    (mix (hash-text (posting-word posting))
         (posting-total posting)
         (sum-of (lambda (place) (* (document-hash (car place)) (cdr place)))
                 (posting-places posting))))
  (mix (sum-of hash-document (hash-table-values documents))
       (sum-of hash-posting (hash-table-values postings))
       (trie-fold (lambda (trie sum)
                    (modulo (+ sum 1 (sum-of hash-link (trie-ends trie)))
                            modulus))
                  0
                  names)))

;;; Questions. Each takes a document and answers a number.

;; All documents that need this one, directly or not, and itself.
(define (closure document)
  (let ((reached (make-hash-table equal?)))
    (let loop ((stack (list document)) (found '()))
      (cond ((null? stack) found)
            ((hash-table-exists? reached (document-id (car stack)))
             (loop (cdr stack) found))
            (else
             (hash-table-set! reached (document-id (car stack)) #t)
             (loop (append (map car (document-users (car stack)))
                           (cdr stack))
                   (cons (car stack) found)))))))

(define (ask-closure document)
  (fold (lambda (user sum) (modulo (+ sum (document-hash user)) modulus))
        0
        (closure document)))

;; The longest chain of documents of which each needs the next, beginning with this one. In a graph with cycles that
;; is a hard question, so that we are content with what a search finds that does not enter a document twice. It keeps
;; what it finds in a table: identifier -> (length . path).
(define (longest-path document paths)
  (define (longer one other)
    (if (> (car other) (car one)) other one))
  (define (search document)
    (or (hash-table-ref/default paths (document-id document) #f)
        (begin
          (hash-table-set! paths (document-id document) '(0))
          (let* ((rest (fold (lambda (need best)
                               (longer best (search (car need))))
                             '(0)
                             (document-needs document)))
                 (path (cons (+ 1 (car rest))
                             (cons document (cdr rest)))))
            (hash-table-set! paths (document-id document) path)
            path))))
  (cdr (search document)))

(define (ask-path document)
  (let ((path (longest-path document (make-hash-table equal?))))
    (apply mix (map document-hash path))))

;; The documents whose names have the same first letters.
(define (ask-prefix document)
  (let* ((name (document-name document))
         (length (min (string-length name) (+ 1 (random! 3)))))
    (let loop ((trie names)
               (chars (string->list name 0 length)))
      (if (pair? chars)
          (loop (trie-child! trie (car chars)) (cdr chars))
          (trie-fold (lambda (trie sum)
                       (fold (lambda (end sum)
                               (modulo (+ sum (document-hash (car end)))
                                       modulus))
                             sum
                             (trie-ends trie)))
                     0
                     trie)))))

;; The documents that have two words in common with it.
(define (ask-common-words document)
  (let ((entries (document-entries document)))
    (if (null? entries)
        0
        (let* ((one (car (random-item! entries)))
               (other (car (random-item! entries)))
               (both (filter (lambda (place)
                               (assq (car place) (posting-places other)))
                             (posting-places one))))
          (fold (lambda (place sum)
                  (modulo (+ sum (document-hash (car place))) modulus))
                (length both)
                both)))))

;; Sorts ((word . count) ...): the most frequent first, words of the same frequency by alphabet.
(define (by-frequency words)
  (sort words
        (lambda (one other)
          (or (> (cdr one) (cdr other))
              (and (= (cdr one) (cdr other))
                   (string<? (car one) (car other)))))))

;; The most frequent words of the document and of those it needs.
(define (ask-top-words document)
  (let ((counts (make-hash-table equal?)))
    (for-each
     (lambda (document)
       (for-each
        (lambda (entry)
          (hash-table-update!/default counts (posting-word (car entry))
                                      (lambda (n) (+ n (cdr entry)))
                                      0))
        (document-entries document)))
     (cons document (map car (document-needs document))))
    (apply mix
           (map (lambda (word) (mix (hash-text (car word)) (cdr word)))
                (take (by-frequency (hash-table->alist counts)) 5)))))

;;; Changes. They answer a number as well.

(define (change-presence! document)
  (remove-document! document)
  (hash-table-size documents))

(define (change-name! document)
  (let* ((original (source-name (document-source document)))
         (name (if (string=? (document-name document) original)
                   (string-append original "-" (number->string (random! 100)))
                   (string-copy original))))
    (remove-name! document)
    (set-document-name! document name)
    (enter-name! document)
    (hash-text name)))

;; Exchanges a word of the document for one of a document it needs, unless it has it already.
(define (change-word! document)
  (let ((needs (document-needs document)))
    (if (or (null? needs)
            (null? (document-entries document))
            (null? (document-entries (car (car needs)))))
        0
        (let* ((old (random-item! (document-entries document)))
               (new (car (random-item! (document-entries (car (car needs)))))))
          (cond ((assq new (document-entries document)) 0)
                (else
                 (remove-word! document old)
                 (enter-word! document (posting-word new) (cdr old))
                 (hash-text (posting-word new))))))))

;;; The rounds

(define actions
  (vector ask-closure
          ask-path
          ask-prefix
          ask-common-words
          ask-top-words
          change-presence!
          change-name!
          change-word!))

;; A document that is not there is put back; with all others, something is done. Returns the checksum.
(define (run-rounds! rounds sources)
  (let ((sources (list->vector sources)))
    (let loop ((round 0) (sum 0))
      (if (= round rounds)
          sum
          (let* ((source (vector-ref sources
                                     (random! (vector-length sources))))
                 (document (document-of (source-id source)))
                 (action (vector-ref actions
                                     (random! (vector-length actions)))))
            (cond (document
                   (loop (+ round 1) (mix sum (action document))))
                  (else
                   (enter-document! source)
                   (loop (+ round 1) (mix sum (hash-table-size documents))))))))))

;;; The report

(define (say-sizes)
  (say (hash-table-size documents) " documents, "
       (count-edges) " needs, "
       (hash-table-size postings) " words, "
       (trie-fold (lambda (trie n) (+ n 1)) 0 names) " nodes of names, "
       "fingerprint " (fingerprint)))

(define (say-top-words)
  (say "the most frequent words:")
  (for-each
   (lambda (word) (say "  " (cdr word) " " (car word)))
   (take (by-frequency
          (map (lambda (posting)
                 (cons (posting-word posting) (posting-total posting)))
               (hash-table-values postings)))
         10)))

(define (say-most-needed)
  (say "the most needed documents:")
  (for-each
   (lambda (entry) (say "  " (cdr entry) " " (car entry)))
   (take (by-frequency
          (map (lambda (document)
                 (cons (document-id document)
                       (length (document-users document))))
               (hash-table-values documents)))
         5)))

(define (say-longest-path sources)
  (let* ((paths (make-hash-table equal?))
         (longest (fold (lambda (source longest)
                          (let ((path (longest-path
                                       (document-of (source-id source))
                                       paths)))
                            (if (> (length path) (length longest))
                                path
                                longest)))
                        '()
                        sources)))
    (say "the longest path:")
    (for-each (lambda (document) (say "  " (document-name document)))
              longest)))

(define (run sources rounds)
  (let ((sources (sort sources
                       (lambda (one other)
                         (string<? (source-id one) (source-id other))))))
    (build-index! sources)
    (say-sizes)
    (say-top-words)
    (say-most-needed)
    (say-longest-path sources)
    (let ((original (fingerprint)))
      (unless (null? sources)
        (say rounds " rounds: checksum " (run-rounds! rounds sources)))
      (say-sizes)
      (restore-index! sources)
      (say-sizes)
      (let ((ok? (= (fingerprint) original)))
        (say "index: " (if ok? "ok" "WRONG"))
        ok?))))

(define (read-metadata file)
  (metadata->sources
   (if (string=? file "-")
       (read-json (current-input-port))
       (call-with-input-file file read-json))))

(define (number-argument arguments n default)
  (if (< n (length arguments))
      (string->number (list-ref arguments n))
      default))

(define (main arguments)
  (let* ((tree? (and (pair? arguments)
                     (string=? (car arguments) "--tree")))
         (arguments (if tree? (cdr arguments) arguments))
         (input (if (pair? arguments) (car arguments) "-"))
         (rounds (number-argument arguments 1 20000)))
    (set! random-state (number-argument arguments 2 1))
    (run (if tree?
             (files->sources (source-files input))
             (read-metadata input))
         rounds)))

(exit (main (cdr (command-line))))
