import Files
import Imaging
import ProceduralWorld

/// The oracle's scores of all pictures before and after.
struct OracleComparison {
  let prompts: Int
  let pictures: Int
  let aesthetics: PairedComparison
  let agreement: PairedComparison
  /// By prompt and picture, one after another.
  let before: [OracleScore]
  let after: [OracleScore]

  /// - Parameter picture: of a prompt's number, a picture's number, and `before` or `after`
  init(
    prompts: [String], settings: ReportSettings, picture: (Int, Int, String) throws -> RGBImage
  ) throws {
    func scores(_ state: String) throws -> [OracleScore] {
      try prompts.enumerated().flatMap { index, prompt in
        let scene = try Scene(prompt: prompt)
        return try (0..<settings.picturesPerPrompt).map { number in
          OracleScore(
            of: try Picture(
              try picture(index, number, state), name: "picture \(number) of \"\(prompt)\""),
            as: scene)
        }
      }
    }
    before = try scores("before")
    after = try scores("after")
    self.prompts = prompts.count
    pictures = before.count
    aesthetics = PairedComparison(
      before: before.map(\.aesthetics), after: after.map(\.aesthetics),
      groupSize: settings.picturesPerPrompt)
    agreement = PairedComparison(
      before: before.map(\.agreement), after: after.map(\.agreement),
      groupSize: settings.picturesPerPrompt)
  }

  var json: JSON {
    [
      "prompts": .integer(prompts), "pictures": .integer(pictures),
      "aesthetics": aesthetics.json, "agreement": agreement.json,
    ]
  }
}
