import Files
import PipelineCore

/// Shows the progress of a run: one updated line on a terminal, otherwise a line every ten seconds.
final class RunConsole {
  private let isQuiet: Bool
  private let hasTerminal = Console.hasTerminal
  private var lastProgress: ContinuousClock.Instant?
  private var hasOpenLine = false
  private var failure: OutputFailure?

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  func show(_ event: RunEvent) {
    // Results are the purpose of the run; a quiet run prints them, too.
    if case .result(_, let text) = event {
      closeLine()
      do throws(OutputFailure) { try Console.print(text) } catch { failure = error }
      return
    }
    // Moving the user's files must be reported, too.
    if case .kept(let stage, let text) = event { return line("\(stage): \(text)") }
    guard !isQuiet else { return }
    switch event {
    case .advanced(let progress): show(progress)
    case .upToDate(let stage): line("\(stage): up to date")
    case .said(let stage, let text): line("\(stage): \(text)")
    case .started(let stage, let reasons, let resumed):
      let shown = reasons.prefix(5).joined(separator: "; ")
      let more = reasons.count > 5 ? "; and \(reasons.count - 5) more changes" : ""
      line("\(stage): \(resumed ? "resuming" : "starting") (\(shown)\(more))")
      lastProgress = nil
    case .finished(let stage, let units, let unit, let rejections, let seconds, let peakMemory):
      let loss = RejectionSummary(rejections).detailedPhrases.map { ", \($0)" }.joined()
      let what = units == 0 ? "done" : Spelled.count(units, of: unit)
      let memory = "peak memory \(ByteCount.text(peakMemory))"
      line("\(stage): \(what) in \(Spelled.duration(seconds))\(loss), \(memory)")
    case .partDone(let stage, let part, let items, let total, let path):
      line(
        "\(stage): part \(part) is complete: \(Spelled.count(items)) of \(Spelled.count(total)) items, \(path)"
      )
    case .result, .kept: break
    }
  }

  private func show(_ progress: StageProgress.Snapshot) {
    let interval: Duration = hasTerminal ? .milliseconds(200) : .seconds(10)
    let now = ContinuousClock.now
    // The first event starts the clock: fast work needs no progress display.
    guard let last = lastProgress else {
      lastProgress = now
      return
    }
    guard now - last >= interval else { return }
    lastProgress = now
    var parts = [
      "\(progress.stage): \(Spelled.count(progress.unitsDone)) of "
        + "\(Spelled.count(progress.unitsTotal)) \(progress.unit)"
    ]
    if progress.seconds > 0 {
      parts.append("\(Spelled.rate(Double(progress.unitsThisRun) / progress.seconds))/s")
    }
    if let left = progress.secondsLeft { parts.append("\(Spelled.duration(left)) left") }
    if !progress.note.isEmpty { parts.append(progress.note) }
    let text = parts.joined(separator: ", ")
    guard hasTerminal else { return Console.note(text) }
    // Return to the start of the line and clear the previous text.
    Console.noteInPlace("\r\(text)\u{1B}[K")
    hasOpenLine = true
  }

  private func line(_ text: String) {
    closeLine()
    Console.note(text)
  }

  /// Throws if a result could not be printed.
  func finish() throws(OutputFailure) { if let failure { throw failure } }

  /// Clears the progress line, so that the next text stands alone.
  func closeLine() {
    if hasOpenLine { Console.noteInPlace("\r\u{1B}[K") }
    hasOpenLine = false
  }
}
