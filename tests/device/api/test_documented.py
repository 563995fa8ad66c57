from typing import List

from fastapi import FastAPI, Response
from pydantic import BaseModel

from gdws_agent.api.documented import DocumentedRoute, add_schemas


class Part(BaseModel):
    number: int


class Whole(BaseModel):
    parts: List[Part]


def test_an_answer_is_described_by_its_model_and_no_validator_is_built_for_it():
    app = FastAPI()
    app.router.route_class = DocumentedRoute
    accepted = {202: {"description": "Later", "content": {"application/json": {"example": {"parts": []}}}}}

    @app.post("/whole", status_code=202, response_model=Whole, responses=accepted)
    def whole() -> Response:
        return Response()

    document = app.openapi()
    add_schemas(document, app.routes)
    assert set(document["components"]["schemas"]) == {"Part", "Whole"}
    assert document["paths"]["/whole"]["post"]["responses"]["202"] == {
        "description": "Later",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Whole"}, "example": {"parts": []}},
        },
    }
    [route] = [route for route in app.routes if isinstance(route, DocumentedRoute)]
    assert route.response_field is None
