package bench;

/** Builds, steps and checks. */
interface Workload {
    /**
     * Does the work.
     *
     * @return the fold over everything that lives at the end
     * @throws WrongResult when something is not what it must be
     */
    long run(Run run) throws WrongResult;
}
