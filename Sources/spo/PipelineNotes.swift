import PipelineCore
import Stages

extension Pipeline {
  /// Says what a reader should know before the result.
  ///
  /// - Parameter looks: whether the workspace is only looked at, so that one that is not there is a surprise
  func sayNotes(looks: Bool = false) {
    var notes = notes + modelNotes
    if looks, !Folders.exists(workspacePath) {
      notes.append("\(workspacePath) does not exist yet; `spo run` creates it")
    }
    for note in notes { Console.note("note: \(note)") }
  }
}
