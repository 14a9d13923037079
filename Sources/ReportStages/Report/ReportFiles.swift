import Foundation

/// Where a report keeps its pictures and what was found about them.
struct ReportFiles {
  let folder: String
  /// Scales of classifier-free guidance; the first one is not spelled in names.
  let scales: [Float]

  private func name(_ model: ReportedModel, _ scale: Int) -> String {
    scale == 0 ? model.name : "\(model.name)-\(scales[scale])"
  }

  private func digits(_ prompt: Int) -> String { String(format: "%03d", prompt) }

  /// - Parameter scale: the place of the guidance among `scales`
  func picture(_ prompt: Int, _ picture: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/\(relativePicture(prompt, picture, model, scale: scale))"
  }

  /// The same as the report's page sees it.
  func relativePicture(
    _ prompt: Int, _ picture: Int, _ model: ReportedModel, scale: Int
  ) -> String {
    "pictures/\(digits(prompt))-\(picture)-\(name(model, scale)).png"
  }

  func scores(_ scorer: String, _ prompt: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/scores/\(scorer)/\(digits(prompt))-\(name(model, scale)).json"
  }
}
