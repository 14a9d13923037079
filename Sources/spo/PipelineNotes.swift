import PipelineCore
import Stages

extension Pipeline {
  /// Prints what the user should know before the result.
  ///
  /// - Parameter looks: whether the workspace is only inspected, so that a missing one is
  ///   unexpected
  func sayNotes(looks: Bool = false) {
    var notes = notes + modelNotes
    if looks, !Folders.exists(workspacePath) {
      notes.append("\(workspacePath) does not exist yet; `spo run` creates it")
    }
    for note in notes { Console.note("note: \(note)") }
  }
}
