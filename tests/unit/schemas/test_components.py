import pytest

from patchline_schemas.components import BadComponent, ecosystem, normal_form, short_name


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("pkg:pypi/Jinja2", "pkg:pypi/jinja2"),
        ("pkg:PyPI/ruamel_yaml", "pkg:pypi/ruamel-yaml"),
        ("pkg:pypi/Zope.Interface", "pkg:pypi/zope-interface"),
        ("pkg:pypi/a--b__c", "pkg:pypi/a-b-c"),
        ("pkg:deb/debian/openssl", "pkg:deb/debian/openssl"),
        ("pkg:npm/%40angular/core", "pkg:npm/%40angular/core"),
    ],
)
def test_one_component_has_one_spelling(written, normal):
    assert normal_form(written) == normal
    assert normal_form(normal) == normal


@pytest.mark.parametrize(
    ("purl", "advice"),
    [
        ("pkg:pypi/jinja2@3.1.6", "write 'pkg:pypi/jinja2' and put '3.1.6' into 'version'"),
        ("pkg:deb/debian/openssl?arch=amd64", "carries qualifiers; write 'pkg:deb/debian/openssl'"),
        ("pkg:npm/foo#lib", "carries a subpath"),
        ("pkg:pypi/team/jinja2", "has none: 'pkg:pypi/NAME'"),
        ("jinja2", "no package URL like 'pkg:pypi/jinja2'"),
        ("pkg:pypi/", "no package URL"),
        ("pkg:pypi/" + "x" * 400, "at most 300 characters"),
    ],
)
def test_an_unusable_one_is_refused_with_what_to_do(purl, advice):
    with pytest.raises(BadComponent) as refused:
        normal_form(purl)
    assert advice in str(refused.value)


def test_parts_of_a_component():
    assert ecosystem("pkg:npm/%40angular/core") == "npm"
    assert short_name("pkg:npm/%40angular/core") == "core"
