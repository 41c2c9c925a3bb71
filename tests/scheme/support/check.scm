;;; For the check files: (check EXPRESSION => EXPECTED) counts, and prints what is not as expected; (report) prints the
;;; last line.

(define checks 0)
(define failures 0)

(define (%check expression thunk expected)
  (let ((got (guard (e (#t (list 'raised (if (error-object? e) (condition/report-string e) e)))) (thunk))))
    (set! checks (+ checks 1))
    (if (not (equal? got expected))
        (begin
          (set! failures (+ failures 1))
          (display "FAIL ")
          (write expression)
          (display "\n  gives ")
          (write got)
          (display "\n  and not ")
          (write expected)
          (newline)))))

(define-syntax check
  (syntax-rules (=>)
    ((_ expression => expected) (%check 'expression (lambda () expression) expected))))

(define (report)
  (for-each display (list checks " checks, " failures " failures"))
  (newline))
