;;; The part of the library that is written in Scheme: procedures which call
;;; their arguments, which primitives cannot do, and thin layers over
;;; primitives whose names begin with a percent sign.

;;; Ports and procedures. A port is closed only when the procedure returns:
;;; a continuation may still come back to one that was left otherwise.

(define (call-with-port port proc)
  (call-with-values
    (lambda () (proc port))
    (lambda results
      (close-port port)
      (apply values results))))

(define (call-with-input-file name proc)
  (call-with-port (open-input-file name) proc))

(define (call-with-output-file name proc)
  (call-with-port (open-output-file name) proc))

(define (with-input-from-file name thunk)
  (call-with-port (open-input-file name)
    (lambda (port)
      (parameterize ((current-input-port port)) (thunk)))))

(define (with-output-to-file name thunk)
  (call-with-port (open-output-file name)
    (lambda (port)
      (parameterize ((current-output-port port)) (thunk)))))

(define (call-with-output-string proc)
  (let ((port (open-output-string)))
    (proc port)
    (let ((text (get-output-string port)))
      (close-port port)
      text)))

(define (with-output-to-string . opt)
  (call-with-output-string
    (lambda (port)
      (if (pair? opt)
          (parameterize ((current-output-port port)) ((car opt)))))))

(define (call-with-input-string text proc)
  (call-with-port (open-input-string text) proc))

(define (with-input-from-string text thunk)
  (call-with-port (open-input-string text)
    (lambda (port)
      (parameterize ((current-input-port port)) (thunk)))))

(define (write-to-string object) (%datum->string object #t))
(define (display-to-string object) (%datum->string object #f))

;;; Strings and predicates. As in SRFI 13 a character stands for the
;;; predicate of being that character.

(define (%string-scan text pred i end step)
  (let loop ((i i))
    (cond ((= i end) #f)
          ((pred (string-ref text i)) i)
          (else (loop (+ i step))))))

(define (string-index text pred . range)
  (if (char? pred)
      (apply %string-index text pred range)
      (let* ((start (if (pair? range) (car range) 0))
             (end (if (and (pair? range) (pair? (cdr range)))
                      (cadr range)
                      (string-length text))))
        (%string-scan text pred start end 1))))

(define (string-rindex text pred . range)
  (if (char? pred)
      (apply %string-rindex text pred range)
      (let* ((start (if (pair? range) (car range) 0))
             (end (if (and (pair? range) (pair? (cdr range)))
                      (cadr range)
                      (string-length text))))
        (%string-scan text pred (- end 1) (- start 1) -1))))

(define string-index-right string-rindex)
(define string-search-char string-index)

(define (string-skip text pred . range)
  (apply string-index text
         (if (char? pred)
             (lambda (c) (not (char=? c pred)))
             (lambda (c) (not (pred c))))
         range))

(define (string-count text pred . range)
  (let* ((pred (if (char? pred) (lambda (c) (char=? c pred)) pred))
         (start (if (pair? range) (car range) 0))
         (end (if (and (pair? range) (pair? (cdr range)))
                  (cadr range)
                  (string-length text))))
    (let loop ((i start) (n 0))
      (cond ((>= i end) n)
            ((pred (string-ref text i)) (loop (+ i 1) (+ n 1)))
            (else (loop (+ i 1) n))))))

(define (string-any pred text)
  (let ((end (string-length text)))
    (let loop ((i 0))
      (and (< i end)
           (or (pred (string-ref text i)) (loop (+ i 1)))))))

(define (string-every pred text)
  (let ((end (string-length text)))
    (let loop ((i 0) (last #t))
      (if (< i end)
          (let ((next (pred (string-ref text i))))
            (and next (loop (+ i 1) next)))
          last))))

(define (string-filter pred text)
  (let loop ((i (- (string-length text) 1)) (kept '()))
    (cond ((< i 0) (list->string kept))
          ((pred (string-ref text i))
           (loop (- i 1) (cons (string-ref text i) kept)))
          (else (loop (- i 1) kept)))))

(define (string-tabulate proc n)
  (let loop ((i (- n 1)) (chars '()))
    (if (< i 0)
        (list->string chars)
        (loop (- i 1) (cons (proc i) chars)))))

;;; Hash tables: SRFI 69 first, then the names of R6RS and others.

(define %hash-table-kinds
  (list (cons eq? 0) (cons eqv? 1) (cons = 1) (cons char=? 1)
        (cons equal? 2) (cons string=? 3) (cons string-ci=? 4)))

(define (%hash-table-kind-of options)
  (let loop ((options options))
    (cond ((null? options) 2)
          ((assq (car options) %hash-table-kinds) => cdr)
          (else (loop (cdr options))))))

(define (make-hash-table . options)
  (%make-hash-table (%hash-table-kind-of options)))

(define (alist->hash-table alist . options)
  (let ((table (apply make-hash-table options)))
    (for-each
      (lambda (entry)
        (if (not (hash-table-exists? table (car entry)))
            (hash-table-set! table (car entry) (cdr entry))))
      alist)
    table))

(define (hash-table-equivalence-function table)
  (list-ref (list eq? eqv? equal? string=? string-ci=?)
            (%hash-table-kind table)))

(define (hash-table-hash-function table)
  (list-ref (list hash-by-identity eqv-hash hash string-hash string-ci-hash)
            (%hash-table-kind table)))

;; A value which no table contains.
(define %absent (list 'absent))

(define (hash-table-ref table key . options)
  (let ((value (hash-table-ref/default table key %absent)))
    (cond ((not (eq? value %absent))
           (if (and (pair? options) (pair? (cdr options)))
               ((cadr options) value)
               value))
          ((and (pair? options) (car options)) ((car options)))
          (else (error "hash-table-ref: no such key:" key)))))

(define (hash-table-ref! table key make)
  (let ((value (hash-table-ref/default table key %absent)))
    (if (eq? value %absent)
        (let ((value (make)))
          (hash-table-set! table key value)
          value)
        value)))

(define hash-table-intern! hash-table-ref!)

(define (hash-table-update! table key proc . options)
  (hash-table-set! table key (proc (apply hash-table-ref table key options))))

(define (hash-table-update!/default table key proc default)
  (hash-table-set! table key (proc (hash-table-ref/default table key default))))

;; These go over the entries as they were at the start, so the procedure may
;; change the table.

(define (hash-table-walk table proc)
  (for-each (lambda (entry) (proc (car entry) (cdr entry)))
            (hash-table->alist table)))

(define (hash-table-for-each a b)
  (if (procedure? a) (hash-table-walk b a) (hash-table-walk a b)))

(define (hash-table-map! proc table)
  (hash-table-walk table
    (lambda (key value) (hash-table-set! table key (proc key value)))))

(define (hash-table-map->list proc table)
  (map (lambda (entry) (proc (car entry) (cdr entry)))
       (hash-table->alist table)))

;; SRFI 69 has the table first, SRFI 125 the procedure.
(define (hash-table-fold a b c)
  (let ((table (if (procedure? a) c a))
        (proc (if (procedure? a) a b))
        (seed (if (procedure? a) b c)))
    (let loop ((entries (hash-table->alist table)) (value seed))
      (if (null? entries)
          value
          (loop (cdr entries)
                (proc (caar entries) (cdar entries) value))))))

(define (hash-table-prune! proc table)
  (hash-table-walk table
    (lambda (key value)
      (if (proc key value) (hash-table-delete! table key)))))

(define (hash-table-merge! to from)
  (hash-table-walk from
    (lambda (key value)
      (if (not (hash-table-exists? to key)) (hash-table-set! to key value))))
  to)

(define (hash-table-empty? table) (= (hash-table-size table) 0))

(define (hash-table . entries)
  (let ((table (make-hash-table (if (procedure? (car entries)) (car entries) equal?))))
    (let loop ((rest (if (procedure? (car entries)) (cdr entries) entries)))
      (if (pair? rest)
          (begin
            (hash-table-set! table (car rest) (cadr rest))
            (loop (cddr rest)))
          table))))

(define (make-equal-hash-table . size) (%make-hash-table 2))
(define (make-strong-eqv-hash-table . size) (%make-hash-table 1))
(define (make-strong-eq-hash-table . size) (%make-hash-table 0))
(define (make-string-hash-table . size) (%make-hash-table 3))

(define (make-eq-hashtable . size) (%make-hash-table 0))
(define (make-eqv-hashtable . size) (%make-hash-table 1))
(define (make-hashtable hash equivalence . size)
  (%make-hash-table (%hash-table-kind-of (list equivalence))))
(define (hashtable-update! table key proc default)
  (hash-table-update!/default table key proc default))
(define (hashtable-keys table) (list->vector (hash-table-keys table)))
(define (hashtable-entries table)
  (let ((entries (hash-table->alist table)))
    (values (list->vector (map car entries))
            (list->vector (map cdr entries)))))
(define (hashtable-walk table proc) (hash-table-walk table proc))
