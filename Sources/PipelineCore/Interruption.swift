import Glibc
import Synchronization

/// A request to stop, by SIGINT, SIGTERM or SIGHUP (which ends a terminal or a connection).
///
/// The first signal requests: the run ends after its item, or earlier if a stage calls
/// `StageContext.checkInterruption()`. The second ends the process immediately, which is safe too,
/// since results appear complete or not at all.
public struct Interruption: Error, Equatable, CustomStringConvertible {
  public let signal: Int32

  package init(signal: Int32) { self.signal = signal }

  /// 130, 143 or 129, by shell convention.
  public var exitCode: Int32 { 128 + signal }
  public var description: String {
    "interrupted; finished work is saved; run the same command to continue"
  }

  // A signal handler can access only globals.
  private static let requested = Atomic<Int32>(0)

  /// The signal that has requested to stop, if any.
  public static var pending: Interruption? {
    let signal = requested.load(ordering: .relaxed)
    return signal == 0 ? nil : Interruption(signal: signal)
  }

  /// Turns the signals into requests to stop, except SIGHUP if it is ignored, as `nohup` asks.
  public static func handleSignals() {
    // Also ensures that the global is initialized before the handler can run.
    requested.store(0, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { signal in
      guard Interruption.requested.exchange(signal, ordering: .relaxed) == 0 else {
        _exit(128 + signal)
      }
    }
    action.sa_flags = Int32(SA_RESTART)
    sigaction(SIGINT, &action, nil)
    sigaction(SIGTERM, &action, nil)
    var hangup = sigaction()
    sigaction(SIGHUP, nil, &hangup)
    let ignored = unsafeBitCast(SIG_IGN, to: Int.self)
    if unsafeBitCast(hangup.__sigaction_handler.sa_handler, to: Int.self) != ignored {
      sigaction(SIGHUP, &action, nil)
    }
    // The parent may have blocked them, as threads of a pool do.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGHUP)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}
