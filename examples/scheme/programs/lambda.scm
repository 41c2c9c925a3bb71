;;; lambda.scm -- all small programs of the lambda calculus: typed, run, and counted.
;;;
;;; usage:     lambda.scm [SIZE] [EXPONENT] [DIGITS]
;;;            SIZE      size of the largest terms (default 10; the next takes four times as long)
;;;            EXPONENT  2 to this power is computed with Church numerals (default 14)
;;;            DIGITS    the factorial of this number is taken apart (default 1000)
;;; test-args: 9 13 1000
;;;
;;; Nearly everything this program allocates is dead a moment later, and most of it is not data but the machinery of
;;; the interpreter: continuations, closures, promises, strings and string ports, and big numbers. A collector that
;;; overlooks a reference in any of them gives wrong counts here, or crashes.
;;;
;;; First it goes through the closed terms of the lambda calculus, size by size. They come out of a generator that
;;; jumps between its own stack and that of its consumer: the continuation of the generator holds half-built terms
;;; while the consumer, and the collector, do what they like. A dynamic-wind around the generator counts how often it
;;; is entered and left. For each term the program
;;;
;;;   writes it to a string and reads it back;
;;;   infers its type by unification, which binds type variables by mutation and leaves by an escaping continuation
;;;     as soon as there is none;
;;;   evaluates it to its normal form, using closures for functions and promises for arguments, and raises an
;;;     exception when that takes too long;
;;;   checks what theory says: a term with a type has a normal form, whose type is the same or a more general one;
;;;   counts its type in a search tree, the only thing that grows and stays.
;;;
;;; Mathematicians have counted before us: there are 1, 2, 4, 13, 42, 139, 506, 1915, 7558, ... closed terms of size
;;; 2, 3, 4, ... (OEIS A135501), and 1, 2, 3, 10, 34, 98, 339, 1263, 4626, ... of them have a type (A220471).
;;;
;;; Then it computes a power of two with Church numerals, whose normal form is as deep as the power is large, so that
;;; the collector meets a deep stack. At last it takes a factorial and a Fibonacci number apart, digit by digit.

(import (scheme base)
        (scheme char)
        (scheme lazy)
        (scheme read)
        (scheme write)
        (scheme process-context))

(define (say . things)
  (for-each display things)
  (newline))

(define (check ok? what . where)
  (unless ok? (apply error what where)))

(define (call-with-output-string receive)
  (let ((port (open-output-string)))
    (receive port)
    (get-output-string port)))

;;; Terms
;;;
;;; A variable is the number of functions between it and the one that binds it; (fn BODY) is a function, and
;;; (FUNCTION ARGUMENT) an application. The size counts variables, functions and applications.

(define variable? integer?)

(define (function? term)
  (eq? (car term) 'fn))

;; Calls YIELD with all terms of that size in the scope of DEPTH functions.
(define (for-each-term size depth yield)
  (cond ((= size 1)
         (do ((variable 0 (+ variable 1)))
             ((= variable depth))
           (yield variable)))
        (else
         (for-each-term (- size 1) (+ depth 1)
                        (lambda (body)
                          (yield (list 'fn body))))
         (do ((i 1 (+ i 1)))
             ((>= i (- size 1)))
           (for-each-term
            i depth
            (lambda (function)
              (for-each-term
               (- size 1 i) depth
               (lambda (argument)
                 (yield (list function argument))))))))))

;;; Generators

(define entrances 0)
(define exits 0)

;; Turns a procedure that calls its argument with each of some items into one that returns the next of these items at
;; every call, and an end-of-file object after the last.
(define (generator for-each-item)
  (define return #f)
  (define (resume)
    (dynamic-wind
     (lambda () (set! entrances (+ entrances 1)))
     (lambda ()
       (for-each-item
        (lambda (item)
          (call/cc
           (lambda (continue)
             (set! resume (lambda () (continue #f)))
             (return item)))))
       (set! resume (lambda () (return (eof-object))))
       (resume))
     (lambda () (set! exits (+ exits 1)))))
  (lambda ()
    (call/cc
     (lambda (k)
       (set! return k)
       (resume)))))

;;; Types
;;;
;;; During inference a type is a type variable, bound or not, or (PARAMETER . RESULT). What remains has the variables
;;; numbered in the order of their appearance.

(define-record-type <type-variable>
  (make-type-variable binding)
  type-variable?
  (binding binding bind!))

(define (fresh)
  (make-type-variable #f))

;; The type at the end of a chain of bound variables.
(define (resolve type)
  (if (and (type-variable? type) (binding type))
      (resolve (binding type))
      type))

(define (occurs? variable type)
  (let ((type (resolve type)))
    (if (type-variable? type)
        (eq? variable type)
        (or (occurs? variable (car type))
            (occurs? variable (cdr type))))))

(define (unify! one other fail)
  (let ((one (resolve one))
        (other (resolve other)))
    (cond ((eq? one other) #t)
          ((type-variable? one)
           (if (occurs? one other) (fail #f))
           (bind! one other))
          ((type-variable? other)
           (unify! other one fail))
          (else
           (unify! (car one) (car other) fail)
           (unify! (cdr one) (cdr other) fail)))))

(define (number-variables type)
  (let ((seen '()))
    (define (number! variable)
      (cond ((assq variable seen) => cdr)
            (else
             (let ((n (length seen)))
               (set! seen (cons (cons variable n) seen))
               n))))
    (let walk ((type type))
      (let ((type (resolve type)))
        (if (type-variable? type)
            (number! type)
            (let ((parameter (walk (car type))))
              (cons parameter (walk (cdr type)))))))))

;; The most general type of a closed term, or #f.
(define (infer term)
  (call/cc
   (lambda (fail)
     (number-variables
      (let infer ((term term) (scope '()))
        (cond ((variable? term)
               (list-ref scope term))
              ((function? term)
               (let ((parameter (fresh)))
                 (cons parameter
                       (infer (cadr term) (cons parameter scope)))))
              (else
               (let ((function (infer (car term) scope))
                     (argument (infer (cadr term) scope))
                     (result (fresh)))
                 (unify! function (cons argument result) fail)
                 result))))))))

;; Whether substituting types for the variables of GENERAL can give SPECIAL.
(define (instance? special general)
  (define (match special general substitution)
    (cond ((not substitution) #f)
          ((pair? general)
           (and (pair? special)
                (match (cdr special) (cdr general)
                       (match (car special) (car general) substitution))))
          ((assv general substitution)
           => (lambda (entry)
                (and (equal? (cdr entry) special) substitution)))
          (else
           (cons (cons general special) substitution))))
  (and (match special general '()) #t))

;; Writes ((0 . 1) . (0 . 1)) as (a > b) > a > b.
(define (write-type type port)
  (define (name n)
    (integer->char (+ n (char->integer #\a))))
  (cond ((integer? type)
         (write-char (name type) port))
        (else
         (cond ((pair? (car type))
                (write-char #\( port)
                (write-type (car type) port)
                (write-char #\) port))
               (else
                (write-type (car type) port)))
         (write-string " > " port)
         (write-type (cdr type) port))))

(define (type->string type)
  (call-with-output-string
   (lambda (port) (write-type type port))))

;;; Normal forms
;;;
;;; A function evaluates to a procedure, and what cannot be evaluated remains as it is: a variable of the function we
;;; are under, numbered from outside, or (STUCK . PROMISE), its application. To see the normal form of a function we
;;; call its procedure with a variable and look at the result.

;; How many calls a normal form may take. There is no end to a negative patience.
(define patience (make-parameter 200))
(define calls-left 0)

(define (evaluate term scope)
  (cond ((variable? term)
         (force (list-ref scope term)))
        ((function? term)
         (lambda (argument)
           (evaluate (cadr term) (cons argument scope))))
        (else
         (call (evaluate (car term) scope)
               (delay (evaluate (cadr term) scope))))))

(define (call function argument)
  (cond ((procedure? function)
         (if (zero? calls-left)
             (raise 'out-of-patience))
         (set! calls-left (- calls-left 1))
         (function argument))
        (else
         (cons function argument))))

(define (value->term value depth)
  (cond ((integer? value)
         (- depth value 1))
        ((procedure? value)
         (list 'fn (value->term (value (make-promise depth))
                                (+ depth 1))))
        (else
         (list (value->term (car value) depth)
               (value->term (force (cdr value)) depth)))))

;; The normal form of a closed term, or #f if it takes more than so many calls.
(define (normalise term)
  (guard (condition ((eq? condition 'out-of-patience) #f))
    (set! calls-left (patience))
    (value->term (evaluate term '()) 0)))

;;; A search tree of strings and how often they were counted

(define-record-type <entry>
  (make-entry key count left right)
  entry?
  (key entry-key)
  (count entry-count set-entry-count!)
  (left left set-left!)
  (right right set-right!))

;; Counts the key in the tree, which may be #f, and returns the tree.
(define (tally! tree key)
  (cond ((not tree)
         (make-entry key 1 #f #f))
        ((string<? key (entry-key tree))
         (set-left! tree (tally! (left tree) key))
         tree)
        ((string<? (entry-key tree) key)
         (set-right! tree (tally! (right tree) key))
         tree)
        (else
         (set-entry-count! tree (+ (entry-count tree) 1))
         tree)))

;; All entries, sorted by key, in front of a list.
(define (entries-of tree rest)
  (if tree
      (entries-of (left tree)
                  (cons tree (entries-of (right tree) rest)))
      rest))

;; The first of the entries with the highest count.
(define (most-frequent entries)
  (let loop ((best (car entries)) (entries (cdr entries)))
    (cond ((null? entries) best)
          ((> (entry-count (car entries)) (entry-count best))
           (loop (car entries) (cdr entries)))
          (else
           (loop best (cdr entries))))))

;;; The census

(define (read-back term)
  (let ((text (call-with-output-string
               (lambda (port) (write term port)))))
    (read (open-input-string text))))

(define (census size types)
  (let ((next (generator
               (lambda (yield) (for-each-term size 0 yield)))))
    (let loop ((terms 0) (typed 0) (normalising 0) (types types))
      (let ((term (next)))
        (cond ((eof-object? term)
               (say "size " size ": " terms " terms, " typed
                    " with a type, " normalising " with a normal form")
               types)
              (else
               (check (equal? term (read-back term)) "misread" term)
               (let ((type (infer term))
                     (normal (normalise term)))
                 (when type
                   (check normal "no normal form" term)
                   (check (instance? type (infer normal))
                          "type lost" term normal))
                 (loop (+ terms 1)
                       (if type (+ typed 1) typed)
                       (if normal (+ normalising 1) normalising)
                       (if type
                           (tally! types (type->string type))
                           types)))))))))

(define (run-census size)
  (let loop ((n 2) (types #f))
    (if (<= n size)
        (loop (+ n 1) (census n types))
        (let* ((types (entries-of types '()))
               (favourite (most-frequent types)))
          (say (length types) " types, of which "
               (entry-key favourite) " is the most frequent: "
               (entry-count favourite) " terms")
          (check (= entrances exits) "unbalanced" entrances exits)
          (say entrances " entrances into generators")))))

;;; Church numerals

;; N applied to f and x: (f (f ... x)).
(define (church n)
  (let loop ((n n) (body 0))
    (if (zero? n)
        (list 'fn (list 'fn body))
        (loop (- n 1) (list 1 body)))))

(define (church->number term)
  (let loop ((body (cadr (cadr term))) (n 0))
    (if (pair? body)
        (loop (cadr body) (+ n 1))
        n)))

(define (run-church exponent)
  (let* ((term (list (church exponent) (church 2)))
         (type (infer term))
         (power (parameterize ((patience -1))
                  (church->number (normalise term)))))
    (say "2^" exponent " = " power " : " (type->string type))
    (check (= power (expt 2 exponent)) "wrong power" power)))

;;; Big numbers

;; from * (from + 1) * ... * to, halving, so that the factors are of about the same size.
(define (product from to)
  (if (= from to)
      from
      (let ((middle (quotient (+ from to) 2)))
        (* (product from middle)
           (product (+ middle 1) to)))))

(define (factorial n)
  (let loop ((n n) (result 1))
    (if (zero? n)
        result
        (loop (- n 1) (* n result)))))

;; F(n) and F(n+1), by doubling.
(define (fibonacci n)
  (if (zero? n)
      (values 0 1)
      (let-values (((a b) (fibonacci (quotient n 2))))
        (let ((even (* a (- (* 2 b) a)))
              (odd (+ (* a a) (* b b))))
          (if (even? n)
              (values even odd)
              (values odd (+ even odd)))))))

(define (fibonacci-by-adding n)
  (let loop ((n n) (a 0) (b 1))
    (if (zero? n)
        a
        (loop (- n 1) b (+ a b)))))

(define (digit-sum-by-dividing n)
  (let loop ((n n) (sum 0))
    (if (zero? n)
        sum
        (let-values (((quotient digit) (floor/ n 10)))
          (loop quotient (+ sum digit))))))

(define (digit-sum-by-reading n)
  (let ((port (open-input-string (number->string n))))
    (let loop ((sum 0))
      (let ((char (read-char port)))
        (if (eof-object? char)
            sum
            (loop (+ sum (digit-value char))))))))

(define (take-apart name n)
  (let ((digits (string-length (number->string n)))
        (sum (digit-sum-by-dividing n)))
    (check (= sum (digit-sum-by-reading n)) "digits of" name)
    (check (= (modulo sum 9) (modulo n 9)) "nines of" name)
    (let-values (((root rest) (exact-integer-sqrt n)))
      (check (= n (+ (* root root) rest)) "root of" name)
      (say name ": " digits " digits with sum " sum ", root with sum "
           (digit-sum-by-reading root)))))

(define (run-numbers n)
  (let ((product (product 1 n)))
    (check (= product (factorial n)) "factorial" n)
    (take-apart (string-append (number->string n) "!") product))
  (let-values (((fibonacci next) (fibonacci (* 10 n))))
    (check (= fibonacci (fibonacci-by-adding (* 10 n))) "fibonacci" n)
    (take-apart (string-append "F(" (number->string (* 10 n)) ")")
                fibonacci)))

(define (argument n default)
  (let ((arguments (cdr (command-line))))
    (if (< n (length arguments))
        (string->number (list-ref arguments n))
        default)))

(run-census (argument 0 10))
(run-church (argument 1 14))
(run-numbers (argument 2 1000))
(say "lambda: ok")
