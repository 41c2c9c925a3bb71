;;; threads.scm -- a ring of threads that build, change and hand on structures on one heap.
;;;
;;; usage:     threads.scm [ROUNDS] [BATCH] [THREADS]
;;;            ROUNDS   of every thread (default 400)
;;;            BATCH    number of keys in what is handed on (default 200)
;;;            THREADS  (default 4)
;;; test-args: 100 400
;;;
;;; All threads run on one heap, and when the collector wants to see their roots, it must find every one of them:
;;; computing, allocating, waiting for a mutex, or blocked on a condition variable. Each thread has a garden, which
;;; is every THREADS-th place in one vector of search trees, so that threads write to the same object and to the same
;;; pages, though never to the same place. In each round a thread
;;;
;;;   changes some trees of its garden, in place, inserting and removing keys;
;;;   builds a batch, a fresh search tree with its checksum, and puts it into the queue of the next thread;
;;;   takes a batch from its own queue, sent by the previous thread, waiting for it if there is none;
;;;   checks the checksum, counts the keys in a hash table, plants the tree in its garden in the place of
;;;     an older one, which dies, and adds the checksum to a ledger that all threads share.
;;;
;;; So objects are allocated by one thread, read and written by another, and die there. While a batch is in transit,
;;; the only reference to it is in a queue that two threads write to.
;;;
;;; Whatever the scheduler does, the output is the same: a queue has one sender and one receiver, so that each thread
;;; gets the same batches in the same order; random numbers belong to one thread; and the ledger only adds. No queue
;;; gets longer than the ring, because a thread can only run ahead of the next one as far as the previous one lets it.

(import (scheme base)
        (scheme write)
        (scheme process-context)
        (srfi 18)
        (srfi 69))

;; A generator of random numbers less than its argument.
(define (make-random seed)
  (let ((state (+ seed 1)))
    (lambda (n)
      (set! state (modulo (* state 48271) 2147483647))
      (modulo state n))))

;;; Search trees of integers; #f is the empty tree. Operations change the tree in place and return what it has become.

(define-record-type <tree>
  (make-tree key left right)
  tree?
  (key tree-key set-tree-key!)
  (left tree-left set-tree-left!)
  (right tree-right set-tree-right!))

(define (tree-insert! tree key)
  (cond ((not tree)
         (make-tree key #f #f))
        ((< key (tree-key tree))
         (set-tree-left! tree (tree-insert! (tree-left tree) key))
         tree)
        ((> key (tree-key tree))
         (set-tree-right! tree (tree-insert! (tree-right tree) key))
         tree)
        (else tree)))

(define (tree-minimum tree)
  (if (tree-left tree)
      (tree-minimum (tree-left tree))
      (tree-key tree)))

(define (tree-remove! tree key)
  (cond ((not tree) #f)
        ((< key (tree-key tree))
         (set-tree-left! tree (tree-remove! (tree-left tree) key))
         tree)
        ((> key (tree-key tree))
         (set-tree-right! tree (tree-remove! (tree-right tree) key))
         tree)
        ((not (tree-left tree)) (tree-right tree))
        ((not (tree-right tree)) (tree-left tree))
        (else
         (let ((next (tree-minimum (tree-right tree))))
           (set-tree-key! tree next)
           (set-tree-right! tree (tree-remove! (tree-right tree) next))
           tree))))

;; Combines the keys from the smallest to the largest.
(define (tree-fold combine seed tree)
  (if tree
      (tree-fold combine
                 (combine (tree-key tree)
                          (tree-fold combine seed (tree-left tree)))
                 (tree-right tree))
      seed))

(define (tree-size tree)
  (tree-fold (lambda (key n) (+ n 1)) 0 tree))

(define modulus 1000000007)

(define (tree-checksum tree)
  (tree-fold (lambda (key sum) (modulo (+ (* sum 31) key 1) modulus))
             0
             tree))

;;; Queues that several threads may use

(define-record-type <queue>
  (raw-queue mutex filled front back)
  queue?
  (mutex queue-mutex)
  (filled queue-filled)
  (front queue-front set-queue-front!)
  (back queue-back set-queue-back!))

(define (make-queue)
  (raw-queue (make-mutex) (make-condition-variable) '() '()))

(define (queue-put! queue item)
  (let ((cell (list item)))
    (mutex-lock! (queue-mutex queue))
    (if (null? (queue-front queue))
        (set-queue-front! queue cell)
        (set-cdr! (queue-back queue) cell))
    (set-queue-back! queue cell)
    (condition-variable-signal! (queue-filled queue))
    (mutex-unlock! (queue-mutex queue))))

;; Waits until there is something.
(define (queue-take! queue)
  (mutex-lock! (queue-mutex queue))
  (let ((front (queue-front queue)))
    (cond ((null? front)
           (mutex-unlock! (queue-mutex queue) (queue-filled queue))
           (queue-take! queue))
          (else
           (set-queue-front! queue (cdr front))
           (mutex-unlock! (queue-mutex queue))
           (car front)))))

;;; Batches

(define-record-type <batch>
  (make-batch sender round tree checksum)
  batch?
  (sender batch-sender)
  (round batch-round)
  (tree batch-tree)
  (checksum batch-checksum))

;; Keys are less than this. Half as many is the size at which insertions and removals of random keys balance.
(define key-range 1000)

(define (build-batch sender round size random)
  (let loop ((n size) (tree #f))
    (if (zero? n)
        (make-batch sender round tree (tree-checksum tree))
        (loop (- n 1) (tree-insert! tree (random key-range))))))

(define (batch-intact? batch sender round)
  (and (= (batch-sender batch) sender)
       (= (batch-round batch) round)
       (= (batch-checksum batch) (tree-checksum (batch-tree batch)))))

;;; The ledger: what every thread has received, written to by all of them

(define-record-type <ledger>
  (make-ledger mutex batches checksum)
  ledger?
  (mutex ledger-mutex)
  (batches ledger-batches set-ledger-batches!)
  (checksum ledger-checksum set-ledger-checksum!))

(define (enter! ledger batch)
  (mutex-lock! (ledger-mutex ledger))
  (set-ledger-batches! ledger (+ (ledger-batches ledger) 1))
  (set-ledger-checksum! ledger (modulo (+ (ledger-checksum ledger)
                                          (batch-checksum batch))
                                       modulus))
  (mutex-unlock! (ledger-mutex ledger)))

;;; The threads

(define places-per-thread 16)
(define changes-per-round 50)

(define-record-type <result>
  (make-result keys checksum received damaged)
  result?
  (keys result-keys)
  (checksum result-checksum)
  (received result-received)
  (damaged result-damaged))

;; The life of a thread: a thunk that returns its result.
(define (gardener self threads rounds batch-size garden queues ledger)
  (let ((random (make-random self))
        (previous (modulo (- self 1) threads))
        (inbox (vector-ref queues self))
        (outbox (vector-ref queues (modulo (+ self 1) threads)))
        (seen (make-hash-table equal?)))
    (define (place n)
      (+ self (* threads n)))

    (define (change-garden!)
      (do ((i 0 (+ i 1)))
          ((= i changes-per-round))
        (let* ((where (place (random places-per-thread)))
               (key (random key-range))
               (operation! (if (zero? (random 2)) tree-insert! tree-remove!)))
          (vector-set! garden where
                       (operation! (vector-ref garden where) key)))))

    (define (count-keys! tree)
      (tree-fold (lambda (key ignored)
                   (hash-table-update!/default seen
                                               (number->string key)
                                               (lambda (n) (+ n 1))
                                               0))
                 #f
                 tree))

    (define (sum-garden f)
      (let loop ((n 0) (sum 0))
        (if (= n places-per-thread)
            sum
            (loop (+ n 1) (+ sum (f (vector-ref garden (place n))))))))

    (define (count-received)
      (let ((sum 0))
        (hash-table-walk seen (lambda (key n) (set! sum (+ sum n))))
        sum))

    (lambda ()
      (let loop ((round 0) (expected 0) (damaged 0))
        (cond ((< round rounds)
               (change-garden!)
               (queue-put! outbox (build-batch self round batch-size random))
               (let* ((batch (queue-take! inbox))
                      (tree (batch-tree batch))
                      (size (tree-size tree))
                      (intact? (batch-intact? batch previous round)))
                 (count-keys! tree)
                 (enter! ledger batch)
                 (vector-set! garden (place (modulo round places-per-thread))
                              tree)
                 (loop (+ round 1)
                       (+ expected size)
                       (if intact? damaged (+ damaged 1)))))
              (else
               (let ((received (count-received)))
                 (make-result (sum-garden tree-size)
                              (modulo (sum-garden tree-checksum) modulus)
                              received
                              (if (= received expected)
                                  damaged
                                  (+ damaged 1))))))))))

(define (say . things)
  (for-each display things)
  (newline))

(define (count-up-to n f)
  (let loop ((i (- n 1)) (results '()))
    (if (< i 0)
        results
        (loop (- i 1) (cons (f i) results)))))

(define (run rounds batch-size threads)
  (let* ((garden (make-vector (* threads places-per-thread) #f))
         (queues (list->vector
                  (count-up-to threads (lambda (i) (make-queue)))))
         (ledger (make-ledger (make-mutex) 0 0))
         (gardeners (count-up-to
                     threads
                     (lambda (i)
                       (make-thread
                        (gardener i threads rounds batch-size
                                  garden queues ledger))))))
    (for-each thread-start! gardeners)
    (let ((results (map thread-join! gardeners)))
      (for-each
       (lambda (result i)
         (say "thread " i ": " (result-received result) " keys received, "
              (result-keys result) " in the garden, checksum "
              (result-checksum result)))
       results
       (count-up-to threads (lambda (i) i)))
      (say "ledger: " (ledger-batches ledger) " batches, checksum "
           (ledger-checksum ledger))
      (let ((ok? (and (= (ledger-batches ledger) (* threads rounds))
                      (zero? (apply + (map result-damaged results))))))
        (say "threads: " (if ok? "ok" "WRONG"))
        ok?))))

(define (argument n default)
  (let ((arguments (cdr (command-line))))
    (if (< n (length arguments))
        (string->number (list-ref arguments n))
        default)))

(exit (run (argument 0 400) (argument 1 200) (argument 2 4)))
