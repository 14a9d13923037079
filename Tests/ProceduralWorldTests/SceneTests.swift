import ProceduralWorld
import Testing

@Suite struct SceneTests {
  @Test("there are 870 different scenes, and each comes back from its prompt")
  func roundTrip() throws {
    #expect(Scene.all.count == 870)
    #expect(Set(Scene.all).count == 870)
    #expect(Set(Scene.all.map(\.prompt)).count == 870)
    for scene in Scene.all { #expect(try Scene(prompt: scene.prompt) == scene) }
  }

  @Test("prompts read as sentences; white space and capitals make no difference")
  func sentences() throws {
    let one = try Scene(prompt: "A blue  circle in the middle ,\nlight background")
    #expect(one.prompt == "a blue circle in the middle, light background")
    let text = "a red circle on the left and a blue square on the right, dark background"
    #expect(try Scene(prompt: text).prompt == text)
  }

  @Test(
    "what is no prompt of the world is refused, with the word and what may stand there",
    arguments: [
      ("", 1, nil, ["a"]),
      ("a pink circle", 2, "pink", ["red", "yellow", "green", "blue", "purple"]),
      ("a red circle on the middle", 6, "middle", ["left", "right", "top", "bottom"]),
      ("a red circle in the left", 6, "left", ["middle"]),
      ("a red circle on the right and", 7, "and", [","]),
      ("a red circle on the top and a blue circle on the left", 13, "left", ["bottom"]),
      ("a red circle on the left, dark", 9, nil, ["background"]),
      ("a red circle on the left, dark background,", 10, ",", ["the end of the prompt"]),
    ] as [(String, Int, String?, [String])])
  func refusal(prompt: String, position: Int, found: String?, expected: [String]) {
    #expect(
      throws: ScenePromptError.unexpected(
        prompt: prompt, position: position, found: found, expected: expected)
    ) { try Scene(prompt: prompt) }
  }

  @Test("two objects of one colour are refused")
  func sameColour() {
    let prompt = "a red circle on the left and a red square on the right, dark background"
    #expect(throws: ScenePromptError.sameColour(prompt: prompt, colour: .red)) {
      try Scene(prompt: prompt)
    }
  }

  @Test("the split is disjoint, complete and always the same")
  func split() {
    let split = SceneSplit.standard
    #expect(split.validation.count == 64)
    #expect(split.tuning.count == 64)
    #expect(split.training.count == 870 - 128)
    #expect(Set(split.validation + split.tuning + split.training) == Set(Scene.all))
    #expect(
      split.validation[0].prompt
        == "a red circle on the top and a purple square on the bottom, dark background")
  }
}
