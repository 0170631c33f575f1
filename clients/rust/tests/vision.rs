//! Short forms for images, against a server that does what each test says.

mod scripted;

use scripted::{Server, Step, ok, send};
use trivium::v1::vision_result::Outcome;
use trivium::v1::{AnalyzeImageResponse, DetectedFaces, ImageLabels, Media, RecognizedText, VisionResult};
use trivium::{Code, rpc};

fn response(outcome: Option<Outcome>) -> Vec<Step> {
    let results = vec![VisionResult { outcome, ..VisionResult::default() }];
    vec![send(&AnalyzeImageResponse { results, ..AnalyzeImageResponse::default() }), ok()]
}

fn image() -> Media {
    vec![1, 2, 3].into()
}

#[tokio::test]
async fn a_short_form_gives_what_its_feature_found() {
    let text = RecognizedText { text: "read".to_owned(), ..RecognizedText::default() };
    let server = Server::start(vec![
        response(Some(Outcome::TextRecognition(text))),
        response(Some(Outcome::Faces(DetectedFaces::default()))),
    ])
    .await;
    let vision = server.client().vision();
    assert_eq!(vision.read_text("model", image()).request_id("mine").await.unwrap().text, "read");
    assert!(vision.faces("model", image()).await.unwrap().faces.is_empty());
    let calls = server.calls();
    assert_eq!(calls[0].path, "/trivium.v1.VisionService/AnalyzeImage");
    assert_eq!(calls[0].headers["x-request-id"], "mine");
}

#[tokio::test]
async fn the_error_of_the_only_feature_is_that_of_the_call() {
    let status = rpc::Status { code: 9, message: "not loaded".to_owned(), details: vec![] };
    let server = Server::start(vec![response(Some(Outcome::Error(status)))]).await;
    let error = server.client().vision().detect("model", image()).request_id("mine").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "not loaded"));
    assert_eq!(error.request_id(), "mine");
}

#[tokio::test]
async fn the_answer_to_another_question_is_an_error() {
    let labels = Outcome::Classification(ImageLabels::default());
    for outcome in [None, Some(labels)] {
        let server = Server::start(vec![response(outcome)]).await;
        let error = server.client().vision().read_text("model", image()).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Code::DataLoss, None));
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let error = Media::read("nowhere.png").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with("nowhere.png: "), "{error}");
}
